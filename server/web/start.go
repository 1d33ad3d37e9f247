package web

import (
	"time"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/charting"
	"practicectl/server/schedule"
)

// today is what the start page holds.
type today struct {
	Now     time.Time
	Mine    bool // the appointments are the caller's own, not the whole practice's
	Entries []api.Appointment
	Names   names
	Open    []charting.OpenNote
	Treats  bool
}

func start(p *page) error {
	d := today{Now: p.opts.Now().In(p.zone)}
	var err error
	if d.Names, err = p.names(); err != nil {
		return err
	}
	_, d.Treats = d.Names.bookable(p.who.Account.ID)
	if p.who.Can(authz.Appointments, authz.View) {
		from := dayOf(d.Now)
		q := schedule.Query{From: from, To: from.AddDate(0, 0, 1)}
		if d.Treats && !p.who.HasRole("group_admin") {
			d.Mine, q.Practitioner = true, &p.who.Account.ID
		}
		if d.Entries, err = p.svc.Schedule.List(p.ctx, p.who, q); err != nil {
			return err
		}
	}
	if p.who.Can(authz.Notes, authz.Edit) && d.Treats {
		if d.Open, err = p.svc.Charting.OpenNotes(p.ctx, p.who, charting.Query{Practitioner: &p.who.Account.ID, From: d.Now.AddDate(0, 0, -60), To: d.Now, Limit: 12}); err != nil {
			return err
		}
	}
	return p.show(screen{name: "start", title: "start.title", section: "start", data: d})
}

func dayOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}
