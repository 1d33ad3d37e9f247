// Package schedule books appointments. Double booking is impossible: the database itself refuses a second appointment of
// the same practitioner or room at the same time, whoever asks and however many ask at once.
package schedule

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/problem"
	"practicectl/server/store"
)

// Service is the practice's calendar.
type Service struct{ st *store.Store }

// New returns the service over a store.
func New(st *store.Store) *Service { return &Service{st: st} }

const columns = `a.id, a.patient_id, coalesce(p.family_name || CASE p.given_name WHEN '' THEN '' ELSE ', ' || p.given_name END, ''), a.practitioner_id, a.room_id, a.facility_id,
  lower(a.during), upper(a.during), a.status, a.kind, a.remark, a.owner_id, a.version`

const from = ` FROM pm.appointment a LEFT JOIN pm.patient p ON p.id = a.patient_id`

// Query selects appointments that touch [From, To).
type Query struct {
	From, To     time.Time  // both needed, at most 400 days apart, unless Patient is set
	Practitioner *uuid.UUID // nil: all
	Room         *uuid.UUID
	Patient      *uuid.UUID
	Cancelled    bool // also cancelled ones and no-shows
}

// List returns the visible appointments in order of start; a day view asks for one day, a week view for seven.
// Problems: Invalid, Forbidden.
func (s *Service) List(ctx context.Context, who *authz.Caller, q Query) ([]api.Appointment, error) {
	if q.Patient == nil && (q.From.IsZero() || !q.To.After(q.From) || q.To.Sub(q.From) > 400*24*time.Hour) {
		return nil, problem.Field("to", "invalid")
	}
	if q.From.IsZero() {
		q.From = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if q.To.IsZero() {
		q.To = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	var out []api.Appointment
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Appointments, Action: authz.View, Kind: "appointment"}, func(tx *store.Tx) error {
		// No appointment is longer than a day, so the index on the start narrows it down.
		rows, err := tx.Query(ctx, `SELECT `+columns+from+`
 WHERE lower(a.during) < $2 AND lower(a.during) > $1::timestamptz - interval '24 hours' AND upper(a.during) > $1
   AND ($3::uuid IS NULL OR a.practitioner_id = $3) AND ($4::uuid IS NULL OR a.room_id = $4) AND ($5::uuid IS NULL OR a.patient_id = $5)
   AND ($6 OR a.status NOT IN ('cancelled', 'noshow'))
 ORDER BY lower(a.during), a.id LIMIT 5000`, q.From, q.To, q.Practitioner, q.Room, q.Patient, q.Cancelled)
		if err != nil {
			return err
		}
		if out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[api.Appointment]); err != nil {
			return err
		}
		ids := make([]uuid.UUID, len(out))
		for i, a := range out {
			ids[i] = a.ID
		}
		return tx.Audit(ctx, store.Entry{Feature: authz.Appointments, Action: store.Read, Kind: "appointment", Objects: ids})
	})
	return out, err
}

// Get returns one appointment. Problems: NotFound, Forbidden.
func (s *Service) Get(ctx context.Context, who *authz.Caller, id uuid.UUID) (api.Appointment, error) {
	var a api.Appointment
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Appointments, Action: authz.View, Kind: "appointment", Object: id}, func(tx *store.Tx) (err error) {
		if a, err = read(ctx, tx, id); err != nil {
			return err
		}
		e := store.Entry{Feature: authz.Appointments, Action: store.Read, Kind: "appointment", Object: id}
		if a.PatientID != nil {
			e.Patient = *a.PatientID
		}
		return tx.Audit(ctx, e)
	})
	return a, err
}

func read(ctx context.Context, tx *store.Tx, id uuid.UUID) (api.Appointment, error) {
	rows, err := tx.Query(ctx, `SELECT `+columns+from+` WHERE a.id = $1`, id)
	if err != nil {
		return api.Appointment{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[api.Appointment])
}

// Book makes an appointment. Problems: Taken (practitioner or room), Invalid, Forbidden.
func (s *Service) Book(ctx context.Context, who *authz.Caller, b api.Booking) (api.Appointment, error) {
	var a api.Appointment
	if err := check(b.Start, b.End, b.Kind, b.Remark); err != nil {
		return a, err
	}
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Appointments, Action: authz.Add, Kind: "appointment"}, func(tx *store.Tx) (err error) {
		id := store.NewID()
		if _, err = tx.Exec(ctx, `INSERT INTO pm.appointment (id, patient_id, practitioner_id, room_id, during, kind, remark, owner_id)
VALUES ($1, $2, $3, $4, tstzrange($5, $6), $7, $8, $9)`, id, b.PatientID, b.PractitionerID, b.RoomID, b.Start.UTC(), b.End.UTC(), b.Kind, b.Remark, who.Account.ID); err != nil {
			return err
		}
		a, err = read(ctx, tx, id)
		return err
	})
	return a, err
}

// Change says what is to be different about an appointment; nil fields stay.
type Change struct {
	Start, End   *time.Time
	Practitioner *uuid.UUID
	Room         **uuid.UUID // set to nil: no room
	Kind, Remark *string
	Status       *string
}

// Move changes an appointment as it was at version: another time, person, room, or status. Problems: Taken, NotFound,
// Forbidden, Stale, Invalid.
func (s *Service) Move(ctx context.Context, who *authz.Caller, id uuid.UUID, version int64, c Change) (api.Appointment, error) {
	var a api.Appointment
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Appointments, Action: authz.Edit, Kind: "appointment", Object: id}, func(tx *store.Tx) (err error) {
		if a, err = read(ctx, tx, id); err != nil {
			return err
		}
		apply(&a, c)
		if err := check(a.Start, a.End, a.Kind, a.Remark); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE pm.appointment SET practitioner_id = $3, room_id = $4, during = tstzrange($5, $6), kind = $7, remark = $8, status = $9
 WHERE id = $1 AND version = $2`, id, version, a.PractitionerID, a.RoomID, a.Start.UTC(), a.End.UTC(), a.Kind, a.Remark, a.Status)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return tx.WhyUnchanged(ctx, "pm.appointment", "id", id, version)
		}
		a, err = read(ctx, tx, id)
		return err
	})
	return a, err
}

// Cancel frees the time of an appointment; the appointment stays on record. Problems as Move.
func (s *Service) Cancel(ctx context.Context, who *authz.Caller, id uuid.UUID, version int64) (api.Appointment, error) {
	status := "cancelled"
	return s.Move(ctx, who, id, version, Change{Status: &status})
}

func apply(a *api.Appointment, c Change) {
	if c.Start != nil {
		a.Start = *c.Start
	}
	if c.End != nil {
		a.End = *c.End
	}
	if c.Practitioner != nil {
		a.PractitionerID = *c.Practitioner
	}
	if c.Room != nil {
		a.RoomID = *c.Room
	}
	if c.Kind != nil {
		a.Kind = *c.Kind
	}
	if c.Remark != nil {
		a.Remark = *c.Remark
	}
	if c.Status != nil {
		a.Status = *c.Status
	}
}

func check(start, end time.Time, kind, remark string) error {
	switch {
	case start.IsZero() || start.Year() < 1900 || start.Year() > 2200:
		return problem.Field("start", "invalid")
	case !end.After(start) || end.Sub(start) > 24*time.Hour:
		return problem.Field("end", "invalid")
	case len(kind) > 200 || strings.ContainsRune(kind, 0):
		return problem.Field("kind", "too_long")
	case len(remark) > 10000 || strings.ContainsRune(remark, 0):
		return problem.Field("remark", "too_long")
	}
	return nil
}

// Places returns the practice's facilities and rooms.
func (s *Service) Places(ctx context.Context, who *authz.Caller) (facilities []api.Facility, rooms []api.Room, err error) {
	err = s.st.WithTx(ctx, who.Session, func(tx *store.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id, name, city, active FROM pm.facility ORDER BY name, id`)
		if err != nil {
			return err
		}
		if facilities, err = pgx.CollectRows(rows, pgx.RowToStructByPos[api.Facility]); err != nil {
			return err
		}
		if rows, err = tx.Query(ctx, `SELECT id, facility_id, name, active FROM pm.room ORDER BY name, id`); err != nil {
			return err
		}
		if rooms, err = pgx.CollectRows(rows, pgx.RowToStructByPos[api.Room]); err != nil {
			return err
		}
		return tx.Audit(ctx, store.Entry{Feature: authz.Facilities, Action: store.Read, Kind: "room"})
	})
	return facilities, rooms, err
}

// AddRoom adds a room to the first facility, or to the one given. Problems: Forbidden, Invalid.
func (s *Service) AddRoom(ctx context.Context, who *authz.Caller, r api.Room) (api.Room, error) {
	if r.Name = strings.TrimSpace(r.Name); r.Name == "" || len(r.Name) > 200 {
		return r, problem.Field("name", "required")
	}
	r.ID, r.Active = store.NewID(), true
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Facilities, Action: authz.Add, Kind: "room"}, func(tx *store.Tx) error {
		return tx.QueryRow(ctx, `INSERT INTO pm.room (id, name, facility_id) VALUES ($1, $2, coalesce(nullif($3, '00000000-0000-0000-0000-000000000000'::uuid), (SELECT min(id::text)::uuid FROM pm.facility)))
RETURNING facility_id`, r.ID, r.Name, r.FacilityID).Scan(&r.FacilityID)
	})
	return r, err
}

// Practitioners returns the active staff whose calendars can be booked: everybody who sees own or shared sessions.
func (s *Service) Practitioners(ctx context.Context, who *authz.Caller) ([]api.Practitioner, error) {
	if who == nil {
		return nil, problem.New(problem.SignIn, errors.New("no caller"))
	}
	var out []api.Practitioner
	err := s.st.WithTx(ctx, who.Session, func(tx *store.Tx) error {
		rows, err := tx.Query(ctx, `SELECT a.id, a.name, a.title FROM sec.account a
 WHERE a.kind = 'staff' AND a.state <> 'disabled' AND EXISTS (SELECT 1 FROM sec.account_role r WHERE r.account_id = a.id AND r.role IN ('member', 'therapist', 'supervisor', 'group_admin'))
 ORDER BY pm.fold(a.name), a.id`)
		if err != nil {
			return err
		}
		if out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[api.Practitioner]); err != nil {
			return err
		}
		return tx.Audit(ctx, store.Entry{Feature: authz.Accounts, Action: store.Read, Kind: "practitioner"})
	})
	return out, err
}
