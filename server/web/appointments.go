package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/problem"
	"practicectl/server/records"
	"practicectl/server/schedule"
)

// booking is the form of a new or existing appointment, as typed.
type booking struct {
	A                  api.Appointment // the existing one; zero when new
	Day, Time, Minutes string
	Practitioner, Room string
	Patient            string // id
	PatientName        string
	Kind, Remark       string
	Status             string
	Names              names
	Found              *api.Page[api.Patient] // of the search for a patient
	Search             string
	Clash              string   // what has the time already
	Free               []string // other times on that day
	Session            *uuid.UUID
}

func newAppointment(p *page) error {
	if err := p.who.Require(authz.Appointments, authz.Add); err != nil {
		return err
	}
	q := p.query()
	d := typed(q)
	if q.Has("another") {
		d.Patient = ""
	}
	if d.Day == "" {
		d.Day = p.opts.Now().In(p.zone).Format(time.DateOnly)
	}
	if d.Minutes == "" {
		d.Minutes = "50"
	}
	if d.Practitioner == "" {
		d.Practitioner = p.who.Account.ID.String()
	}
	if err := p.fillBooking(&d); err != nil {
		return err
	}
	return p.show(screen{name: "booking", title: "booking.new", section: "calendar", data: d})
}

func typed(f form) booking {
	return booking{Day: f.text("day"), Time: f.text("time"), Minutes: f.text("minutes"), Practitioner: f.text("practitioner"), Room: f.text("room"),
		Patient: f.text("patient"), Kind: f.text("kind"), Remark: f.text("remark"), Status: f.text("status"), Search: f.text("patient_q")}
}

// fillBooking adds names to what was typed, and who was meant.
func (p *page) fillBooking(d *booking) (err error) {
	if d.Names, err = p.names(); err != nil {
		return err
	}
	id, err := uuid.Parse(d.Patient)
	if err != nil {
		d.Patient = ""
		return p.find(d)
	}
	v, err := p.svc.Records.Get(p.ctx, p.who, id)
	if problem.Is(err, problem.NotFound) || problem.Is(err, problem.Forbidden) {
		return nil
	}
	d.PatientName = fullName(v)
	return err
}

// pickPatient is the part of the booking form that lists found patients while somebody types.
func pickPatient(p *page) error {
	d := typed(p.query())
	if err := p.find(&d); err != nil {
		return err
	}
	return p.show(screen{name: "pick", title: "patients.title", section: "calendar", data: d})
}

// find looks for the patients that somebody types the name of.
func (p *page) find(d *booking) error {
	if d.Search == "" {
		return nil
	}
	found, err := p.svc.Records.Search(p.ctx, p.who, records.Query{Text: firstChars(d.Search, 200), Limit: 8})
	d.Found = &found
	return err
}

func book(p *page) error {
	f, d := p.form, typed(p.form)
	start := f.moment("day", "time", p.zone)
	minutes := f.number("minutes")
	if minutes < 5 || minutes > 12*60 {
		f.mark("minutes", "invalid")
	}
	b := api.Booking{PatientID: f.id("patient"), RoomID: f.id("room"), Start: start, End: start.Add(time.Duration(minutes) * time.Minute), Kind: d.Kind, Remark: d.Remark}
	if who := f.id("practitioner"); who != nil {
		b.PractitionerID = *who
	} else {
		f.mark("practitioner", "required")
	}
	if b.PatientID == nil && f.Get("blocked") != "1" {
		f.mark("patient", "choose_patient")
	}
	err := f.err()
	if err == nil {
		_, err = p.svc.Schedule.Book(p.ctx, p.who, b)
	}
	if err != nil {
		return p.bookingFailed(d, err, b)
	}
	return p.see("/calendar?view=day&day="+d.Day, "booked")
}

// bookingFailed shows the form again with what is wrong with it.
func (p *page) bookingFailed(d booking, err error, b api.Booking) error {
	errs, bad := invalid(err)
	taken := problem.Is(err, problem.Taken)
	if !bad && !taken {
		return err
	}
	if err := p.fillBooking(&d); err != nil {
		return err
	}
	s := screen{name: "booking", title: "booking.new", section: "calendar", errors: errs, status: http.StatusUnprocessableEntity}
	if d.A.ID != uuid.Nil {
		s.title = "booking.one"
	}
	if taken {
		s.alert, s.status = "booking.taken", problem.Taken.Status()
		if err := p.explain(&d, b); err != nil {
			return err
		}
	}
	s.data = d
	return p.show(s)
}

// explain says what stands where somebody wanted to book, as far as the caller may see it, and what is free that day.
func (p *page) explain(d *booking, b api.Booking) error {
	day := dayOf(b.Start.In(p.zone))
	list, err := p.svc.Schedule.List(p.ctx, p.who, schedule.Query{From: day, To: day.AddDate(0, 0, 1)})
	if err != nil {
		return err
	}
	length := b.End.Sub(b.Start)
	clash := func(start time.Time) *api.Appointment {
		for i, a := range list {
			sameRoom := b.RoomID != nil && a.RoomID != nil && *a.RoomID == *b.RoomID
			if a.ID != d.A.ID && (a.PractitionerID == b.PractitionerID || sameRoom) && a.Status != "done" && a.Start.Before(start.Add(length)) && a.End.After(start) {
				return &list[i]
			}
		}
		return nil
	}
	if a := clash(b.Start); a != nil {
		who := d.Names.Person(a.PractitionerID)
		if a.PractitionerID != b.PractitionerID {
			who = d.Names.Room(a.RoomID)
		}
		d.Clash = p.lang.t("booking.clash", who, p.lang.clock(a.Start), p.lang.clock(a.End))
	}
	if p.who.Scope(authz.Appointments) != authz.ScopeAll {
		return nil // what the caller does not see may be taken all the same
	}
	for t := day.Add(8 * time.Hour); t.Before(day.Add(19*time.Hour)) && len(d.Free) < 5; t = t.Add(30 * time.Minute) {
		if clash(t) == nil {
			d.Free = append(d.Free, p.lang.clock(t))
		}
	}
	return nil
}

func showAppointment(p *page) error {
	id, err := p.id()
	if err != nil {
		return err
	}
	a, err := p.svc.Schedule.Get(p.ctx, p.who, id)
	if err != nil {
		return err
	}
	return p.showBooking(a, screen{})
}

func (p *page) showBooking(a api.Appointment, s screen) error {
	start := a.Start.In(p.zone)
	d := booking{A: a, Day: start.Format(time.DateOnly), Time: start.Format("15:04"), Minutes: strconv.Itoa(int(a.End.Sub(a.Start).Minutes())),
		Practitioner: a.PractitionerID.String(), Kind: a.Kind, Remark: a.Remark, Status: a.Status}
	if a.RoomID != nil {
		d.Room = a.RoomID.String()
	}
	if a.PatientID != nil {
		d.Patient = a.PatientID.String()
	}
	if err := p.fillBooking(&d); err != nil {
		return err
	}
	s.name, s.title, s.section, s.data = "booking", "booking.one", "calendar", d
	return p.show(s)
}

func moveAppointment(p *page) error {
	id, err := p.id()
	if err != nil {
		return err
	}
	f, d := p.form, typed(p.form)
	start, minutes, version := f.moment("day", "time", p.zone), f.number("minutes"), f.version()
	end := start.Add(time.Duration(minutes) * time.Minute)
	room, who := f.id("room"), f.id("practitioner")
	if who == nil {
		f.mark("practitioner", "required")
	}
	change := schedule.Change{Start: &start, End: &end, Practitioner: who, Room: &room, Kind: &d.Kind, Remark: &d.Remark}
	if d.Status != "" {
		change.Status = &d.Status
	}
	if err = f.err(); err == nil {
		_, err = p.svc.Schedule.Move(p.ctx, p.who, id, version, change)
	}
	if err == nil {
		return p.see("/calendar?view=day&day="+d.Day, "moved")
	}
	a, now := p.svc.Schedule.Get(p.ctx, p.who, id)
	if now != nil {
		return now
	}
	if problem.Is(err, problem.Stale) {
		return p.showBooking(a, screen{alert: "booking.stale", status: problem.Stale.Status()})
	}
	d.A = a
	if a.PatientID != nil {
		d.Patient = a.PatientID.String()
	}
	b := api.Booking{RoomID: room, Start: start, End: end}
	if who != nil {
		b.PractitionerID = *who
	}
	return p.bookingFailed(d, err, b)
}

func cancelAppointment(p *page) error {
	id, err := p.id()
	if err != nil {
		return err
	}
	version := p.form.version()
	if err := p.form.err(); err != nil {
		return err
	}
	a, err := p.svc.Schedule.Cancel(p.ctx, p.who, id, version)
	if problem.Is(err, problem.Stale) {
		now, err := p.svc.Schedule.Get(p.ctx, p.who, id)
		if err != nil {
			return err
		}
		return p.showBooking(now, screen{alert: "booking.stale", status: problem.Stale.Status()})
	}
	if err != nil {
		return err
	}
	return p.see("/calendar?view=day&day="+a.Start.In(p.zone).Format(time.DateOnly), "cancelled")
}
