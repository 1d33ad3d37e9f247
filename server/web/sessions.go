package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/charting"
	"practicectl/server/problem"
)

// sessionList is the caller's sessions of a month, or the whole practice's.
type sessionList struct {
	Month          time.Time
	Earlier, Later string
	Mine           bool
	Sessions       []api.Session
	Open           map[uuid.UUID]string
	OpenCount      int
	OnlyOpen       bool
	Names          names
}

func listSessions(p *page) error {
	q := p.query()
	now := p.opts.Now().In(p.zone)
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, p.zone)
	if t, err := time.ParseInLocation("2006-01", q.Get("month"), p.zone); err == nil && t.Year() > 1900 && t.Year() < 2200 {
		month = t
	}
	d := sessionList{Month: month, OnlyOpen: q.Get("open") == "1", Open: map[uuid.UUID]string{}}
	d.Earlier, d.Later = "/sessions?month="+month.AddDate(0, -1, 0).Format("2006-01"), "/sessions?month="+month.AddDate(0, 1, 0).Format("2006-01")
	var err error
	if d.Names, err = p.names(); err != nil {
		return err
	}
	cq := charting.Query{From: month, To: month.AddDate(0, 1, 0), Limit: 500}
	if _, treats := d.Names.bookable(p.who.Account.ID); treats && !p.who.HasRole("group_admin") {
		d.Mine, cq.Practitioner = true, &p.who.Account.ID
	}
	if d.Sessions, err = p.svc.Charting.List(p.ctx, p.who, cq); err != nil {
		return err
	}
	if p.who.Can(authz.Notes, authz.View) {
		cq.Limit = 2000
		if cq.To.After(now) {
			cq.To = now
		}
		open, err := p.svc.Charting.OpenNotes(p.ctx, p.who, cq)
		if err != nil {
			return err
		}
		d.OpenCount = len(open)
		for _, n := range open {
			d.Open[n.Session] = n.Status
		}
	}
	if d.OnlyOpen {
		all := d.Sessions
		d.Sessions = nil
		for _, s := range all {
			if d.Open[s.ID] != "" {
				d.Sessions = append(d.Sessions, s)
			}
		}
	}
	return p.show(screen{name: "sessions", title: "sessions.title", section: "sessions", data: d})
}

// sessionForm is the form of a new session.
type sessionForm struct {
	P                    api.Patient
	Day, Time, Minutes   string
	Kind, Code, Price    string
	Status, Practitioner string
	Appointment          string
	Names                names
}

// newSession offers a session of a patient, or one that came of an appointment.
func newSession(p *page) error {
	if err := p.who.Require(authz.Sessions, authz.Add); err != nil {
		return err
	}
	q := p.query()
	now := p.opts.Now().In(p.zone).Truncate(5 * time.Minute)
	d := sessionForm{Day: now.Format(time.DateOnly), Time: now.Format("15:04"), Minutes: "50", Practitioner: p.who.Account.ID.String(), Status: "held"}
	patient := q.id("patient")
	if a := q.id("appointment"); a != nil {
		from, err := p.svc.Schedule.Get(p.ctx, p.who, *a)
		if err != nil {
			return err
		}
		start := from.Start.In(p.zone)
		d.Appointment, d.Kind, d.Practitioner, patient = a.String(), from.Kind, from.PractitionerID.String(), from.PatientID
		d.Day, d.Time, d.Minutes = start.Format(time.DateOnly), start.Format("15:04"), strconv.Itoa(int(from.End.Sub(from.Start).Minutes()))
	}
	if patient == nil {
		return problem.New(problem.NotFound, nil)
	}
	v, err := p.svc.Records.Get(p.ctx, p.who, *patient)
	if err != nil {
		return err
	}
	d.P = v
	last, err := p.svc.Charting.List(p.ctx, p.who, charting.Query{Patient: patient, Limit: 1})
	if err != nil {
		return err
	}
	if len(last) > 0 { // most sessions are like the one before
		d.Code, d.Price = last[0].Code, p.lang.amount(last[0].PriceMinor)
		if d.Kind == "" {
			d.Kind, d.Minutes = last[0].Kind, strconv.Itoa(last[0].DurationMin)
		}
	}
	return p.sessionForm(d, screen{})
}

func (p *page) sessionForm(d sessionForm, s screen) (err error) {
	if d.Names, err = p.names(); err != nil {
		return err
	}
	s.name, s.title, s.section, s.data = "sessionform", "session.new", "sessions", d
	return p.show(s)
}

// sessionOf reads the fields of a session's form into v.
func (p *page) sessionOf(v api.Session) api.Session {
	f := p.form
	v.HeldAt, v.DurationMin, v.Kind, v.Code, v.Status = f.moment("day", "time", p.zone), f.number("minutes"), f.text("kind"), f.text("code"), f.text("status")
	v.PriceMinor = f.money("price")
	return v
}

func createSession(p *page) error {
	f := p.form
	v := p.sessionOf(api.Session{AppointmentID: f.id("appointment")})
	patient := f.id("patient")
	if patient == nil {
		return problem.New(problem.NotFound, nil)
	}
	v.PatientID = *patient
	if who := f.id("practitioner"); who != nil {
		v.PractitionerID = *who
	}
	err := f.err()
	if err == nil {
		v, err = p.svc.Charting.Create(p.ctx, p.who, v)
	}
	if errs, ok := invalid(err); ok {
		d := sessionForm{Day: f.text("day"), Time: f.text("time"), Minutes: f.text("minutes"), Kind: v.Kind, Code: v.Code, Price: f.text("price"),
			Status: v.Status, Practitioner: f.text("practitioner"), Appointment: f.text("appointment")}
		if d.P, err = p.svc.Records.Get(p.ctx, p.who, *patient); err != nil {
			return err
		}
		return p.sessionForm(d, screen{errors: renamed(errs), status: http.StatusUnprocessableEntity})
	}
	if err != nil {
		return err
	}
	return p.see("/sessions/"+v.ID.String(), "session")
}

// renamed puts the service's field names onto the form's.
func renamed(errs map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range errs {
		if to, ok := map[string]string{"held_at": "day", "duration_min": "minutes", "price_minor": "price"}[k]; ok {
			k = to
		}
		out[k] = v
	}
	return out
}

func updateSession(p *page) error {
	id, err := p.id()
	if err != nil {
		return err
	}
	v, err := p.svc.Charting.Get(p.ctx, p.who, id)
	if err != nil {
		return err
	}
	v = p.sessionOf(v)
	v.Version = p.form.version()
	if err = p.form.err(); err == nil {
		_, err = p.svc.Charting.Update(p.ctx, p.who, v)
	}
	if errs, ok := invalid(err); ok {
		return p.chart(id, screen{errors: renamed(errs), status: http.StatusUnprocessableEntity}, nil)
	}
	if problem.Is(err, problem.Stale) {
		return p.chart(id, screen{alert: "session.stale", status: problem.Stale.Status()}, nil)
	}
	if err != nil {
		return err
	}
	return p.see("/sessions/"+id.String(), "session")
}
