package api

import (
	"github.com/google/uuid"

	"practicectl/internal/api"
	"practicectl/server/charting"
	"practicectl/server/problem"
	"practicectl/server/schedule"
)

func listAppointments(c *call) (any, error) {
	p := c.params("from", "to", "practitioner", "room", "patient", "cancelled")
	q := schedule.Query{From: p.time("from"), To: p.time("to"), Practitioner: p.uuid("practitioner"), Room: p.uuid("room"), Patient: p.uuid("patient"), Cancelled: p.flag("cancelled")}
	if p.err != nil {
		return nil, p.err
	}
	return c.svc.Schedule.List(c.ctx, c.who, q)
}

func book(c *call) (any, error) {
	return withBody(c, func(in api.Booking) (any, error) { return c.svc.Schedule.Book(c.ctx, c.who, in) })
}

func getAppointment(c *call) (any, error) {
	return c.withID(func(id uuid.UUID) (any, error) { return c.svc.Schedule.Get(c.ctx, c.who, id) })
}

func moveAppointment(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	var in api.Rebooking
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if in.Version == 0 {
		return nil, problem.Field("version", "required")
	}
	change := schedule.Change{Start: in.Start, End: in.End, Practitioner: in.PractitionerID, Kind: in.Kind, Remark: in.Remark, Status: in.Status}
	if in.RoomID != nil || in.NoRoom {
		room := in.RoomID
		if in.NoRoom {
			room = nil
		}
		change.Room = &room
	}
	out, err := c.svc.Schedule.Move(c.ctx, c.who, id, in.Version, change)
	if problem.Is(err, problem.Stale) {
		if now, err := c.svc.Schedule.Get(c.ctx, c.who, id); err == nil {
			c.current = now
		}
	}
	return out, err
}

func cancelAppointment(c *call) (any, error) {
	return withBoth(c, func(id uuid.UUID, in api.VersionOnly) (any, error) {
		return c.svc.Schedule.Cancel(c.ctx, c.who, id, in.Version)
	})
}

func listPlaces(c *call) (any, error) {
	facilities, rooms, err := c.svc.Schedule.Places(c.ctx, c.who)
	return api.Places{Facilities: facilities, Rooms: rooms}, err
}

func addRoom(c *call) (any, error) {
	return withBody(c, func(in api.Room) (any, error) { return c.svc.Schedule.AddRoom(c.ctx, c.who, in) })
}

func listPractitioners(c *call) (any, error) { return c.svc.Schedule.Practitioners(c.ctx, c.who) }

func listSessions(c *call) (any, error) {
	p := c.params("patient", "practitioner", "from", "to", "limit")
	q := charting.Query{Patient: p.uuid("patient"), Practitioner: p.uuid("practitioner"), From: p.time("from"), To: p.time("to"), Limit: p.number("limit")}
	if p.err != nil {
		return nil, p.err
	}
	return c.svc.Charting.List(c.ctx, c.who, q)
}

func createSession(c *call) (any, error) {
	return withBody(c, func(in api.Session) (any, error) { return c.svc.Charting.Create(c.ctx, c.who, in) })
}

func getSession(c *call) (any, error) {
	return c.withID(func(id uuid.UUID) (any, error) { return c.svc.Charting.Get(c.ctx, c.who, id) })
}

func changeSession(c *call) (any, error) {
	return patch(c, c.svc.Charting.Get, c.svc.Charting.Update, func(v *api.Session) (*uuid.UUID, *int64) { return &v.ID, &v.Version })
}

func getNote(c *call) (any, error) {
	return c.withID(func(id uuid.UUID) (any, error) { return c.svc.Charting.Note(c.ctx, c.who, id) })
}

func saveNote(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	var in api.NoteSave
	if err := c.body(&in); err != nil {
		return nil, err
	}
	n, err := c.svc.Charting.SaveNote(c.ctx, c.who, id, in)
	return c.note(id, n, err)
}

// note adds what is there now to a stale answer, so that the writer can see both texts.
func (c *call) note(id uuid.UUID, n api.Note, err error) (any, error) {
	if problem.Is(err, problem.Stale) {
		if now, err := c.svc.Charting.Note(c.ctx, c.who, id); err == nil {
			c.current = now
		}
	}
	return n, err
}

func signNote(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	var in api.NoteSign
	if err := c.body(&in); err != nil {
		return nil, err
	}
	n, err := c.svc.Charting.SignNote(c.ctx, c.who, id, in.Head)
	return c.note(id, n, err)
}

func noteHistory(c *call) (any, error) {
	return c.withID(func(id uuid.UUID) (any, error) { return c.svc.Charting.History(c.ctx, c.who, id) })
}
