package web

import (
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/schedule"
)

const (
	rowMinutes = 5 // height of a row of the grid
	rowsPerDay = 24 * 60 / rowMinutes
	maxColumns = 40
	slotRows   = 30 / rowMinutes
)

// week is the calendar's page: columns of days or of people or rooms, over the same hours.
type week struct {
	Day         time.Time
	View        string // "day" or "week"
	By          string // "people" or "rooms"
	Whose       string // id of the person or room of a week; "" on a day of all
	Title       string
	Columns     []column
	Hours       []hour
	Rows        int
	Names       names
	Earlier     string
	Later       string
	Today       string
	AsDay       string
	AsWeek      string
	Partly      bool // others' appointments are not visible
	PeopleWeeks []option
}

type hour struct {
	Row  int
	Text string
}

type column struct {
	Name    string
	Short   string
	Link    string
	Today   bool
	Now     int // row of this moment, 0 when not today
	Slots   []slot
	Entries []entry
}

// slot is half an hour that can be booked by a click.
type slot struct {
	Row  int
	Text string // "14:30"
	Link string
}

type entry struct {
	api.Appointment
	Row, Span int
	Where     string // room, or person in a calendar of rooms
}

func calendar(p *page) error {
	d, err := p.calendarOf(p.query())
	if err != nil {
		return err
	}
	return p.show(screen{name: "calendar", title: "calendar.title", section: "calendar", data: d})
}

func (p *page) calendarOf(q form) (*week, error) {
	now := p.opts.Now().In(p.zone)
	d := &week{View: q.Get("view"), By: q.Get("by"), Whose: q.Get("whose"), Day: dayOf(now), Partly: p.who.Scope(authz.Appointments) != authz.ScopeAll}
	if t, err := time.ParseInLocation(time.DateOnly, q.Get("day"), p.zone); err == nil && t.Year() > 1900 && t.Year() < 2200 {
		d.Day = t
	}
	var err error
	if d.Names, err = p.names(); err != nil {
		return d, err
	}
	p.choose(d)
	from, days := d.Day, 1
	if d.View == "week" {
		from, days = monday(d.Day), 7
	}
	sq := schedule.Query{From: from, To: from.AddDate(0, 0, days)}
	if id, err := uuid.Parse(d.Whose); err == nil && d.View == "week" {
		if d.By == "rooms" {
			sq.Room = &id
		} else {
			sq.Practitioner = &id
		}
	}
	list, err := p.svc.Schedule.List(p.ctx, p.who, sq)
	if err != nil {
		return d, err
	}
	first, last := span(list, p.zone)
	d.Rows = (last - first) * 60 / rowMinutes
	for h := first; h < last; h++ {
		d.Hours = append(d.Hours, hour{(h-first)*60/rowMinutes + 1, time.Date(2000, 1, 1, h, 0, 0, 0, time.UTC).Format("15:04")})
	}
	d.fill(p, list, first, last, now)
	d.links(now)
	return d, nil
}

// choose settles what was left open: who sees everybody starts with a day of all, others with their own week.
func (p *page) choose(d *week) {
	if d.By != "rooms" {
		d.By = "people"
	}
	if d.View != "day" && d.View != "week" {
		d.View = "day"
		if d.Partly {
			d.View = "week"
		}
	}
	for _, o := range d.Names.PeopleOptions() {
		d.PeopleWeeks = append(d.PeopleWeeks, option{d.address(d.Day, "week", "people", o.Value), o.Label})
	}
	if d.View == "day" || d.known() {
		return
	}
	d.Whose = ""
	if d.By == "people" {
		if _, ok := d.Names.bookable(p.who.Account.ID); ok {
			d.Whose = p.who.Account.ID.String()
		} else if len(d.Names.Practitioners) > 0 {
			d.Whose = d.Names.Practitioners[0].ID.String()
		}
	} else if len(d.Names.Rooms) > 0 {
		d.Whose = d.Names.Rooms[0].ID.String()
	}
}

func (d *week) known() bool {
	id, err := uuid.Parse(d.Whose)
	if err != nil {
		return false
	}
	if d.By == "rooms" {
		return d.Names.rooms[id] != ""
	}
	_, ok := d.Names.bookable(id)
	return ok
}

func monday(t time.Time) time.Time { return t.AddDate(0, 0, -(int(t.Weekday())+6)%7) }

// span is the hours that a calendar shows: the usual ones, and earlier or later when there is something.
func span(list []api.Appointment, zone *time.Location) (first, last int) {
	first, last = 7, 19
	for _, a := range list {
		s, e := a.Start.In(zone), a.End.In(zone)
		first = min(first, s.Hour())
		end := e.Hour()
		if e.Minute() > 0 || e.Second() > 0 {
			end++
		}
		if e.YearDay() != s.YearDay() {
			end = 24
		}
		last = max(last, end)
	}
	return first, last
}

// fill makes the columns: the days of a week, or the people or rooms of a day.
func (d *week) fill(p *page, list []api.Appointment, first, last int, now time.Time) {
	add := func(c column, day time.Time, who, room string, belongs func(api.Appointment) bool) {
		if c.Today = day.Equal(dayOf(now)); c.Today && now.Hour() >= first && now.Hour() < last {
			c.Now = ((now.Hour()-first)*60+now.Minute())/rowMinutes + 1
		}
		if p.who.Can(authz.Appointments, authz.Add) {
			c.Slots = slots(day, first, last, who, room)
		}
		for _, a := range list {
			s := a.Start.In(p.zone)
			if belongs(a) && dayOf(s).Equal(day) {
				c.Entries = append(c.Entries, d.entry(a, s, first, last))
			}
		}
		d.Columns = append(d.Columns, c)
	}
	switch {
	case d.View == "week":
		who, room := d.Whose, ""
		if d.By == "rooms" {
			who, room = "", d.Whose
		}
		id, _ := uuid.Parse(d.Whose) // "" is nobody's
		d.Title = d.Names.people[id] + d.Names.rooms[id]
		for i := range 7 {
			day := monday(d.Day).AddDate(0, 0, i)
			if i > 4 && !slices.ContainsFunc(list, func(a api.Appointment) bool { return dayOf(a.Start.In(p.zone)).Equal(day) }) {
				continue // an empty Saturday or Sunday
			}
			add(column{Name: p.lang.weekday(day), Short: day.Format("2.1."), Link: d.address(day, "day", d.By, "")}, day, who, room, func(api.Appointment) bool { return true })
		}
	case d.By == "rooms":
		for _, r := range d.Names.Rooms[:min(len(d.Names.Rooms), maxColumns)] {
			add(column{Name: r.Name, Link: d.address(d.Day, "week", "rooms", r.ID.String())}, d.Day, "", r.ID.String(), func(a api.Appointment) bool { return a.RoomID != nil && *a.RoomID == r.ID })
		}
	default:
		for _, who := range d.Names.Practitioners[:min(len(d.Names.Practitioners), maxColumns)] {
			mine := func(a api.Appointment) bool { return a.PractitionerID == who.ID }
			if d.Partly && who.ID != p.who.Account.ID && !slices.ContainsFunc(list, mine) {
				continue // an empty column would look like free time
			}
			add(column{Name: who.Name, Link: d.address(d.Day, "week", "people", who.ID.String())}, d.Day, who.ID.String(), "", mine)
		}
	}
}

func (d *week) entry(a api.Appointment, start time.Time, first, last int) entry {
	row := ((start.Hour()-first)*60+start.Minute())/rowMinutes + 1
	e := entry{Appointment: a, Row: row, Span: max(int(a.End.Sub(a.Start)/(rowMinutes*time.Minute)), 2)}
	e.Span = min(e.Span, (last-first)*60/rowMinutes-row+1)
	e.Where = d.Names.Room(a.RoomID)
	if d.By == "rooms" {
		e.Where = d.Names.people[a.PractitionerID]
	}
	return e
}

func slots(day time.Time, first, last int, who, room string) []slot {
	var out []slot
	for row := 1; row <= (last-first)*60/rowMinutes; row += slotRows {
		minute := first*60 + (row-1)*rowMinutes
		text := time.Date(2000, 1, 1, minute/60, minute%60, 0, 0, time.UTC).Format("15:04")
		v := url.Values{"day": {day.Format(time.DateOnly)}, "time": {text}}
		if who != "" {
			v.Set("practitioner", who)
		}
		if room != "" {
			v.Set("room", room)
		}
		out = append(out, slot{row, text, "/appointments/new?" + v.Encode()})
	}
	return out
}

func (d *week) address(day time.Time, view, by, whose string) string {
	v := url.Values{"day": {day.Format(time.DateOnly)}, "view": {view}, "by": {by}}
	if whose != "" {
		v.Set("whose", whose)
	}
	return "/calendar?" + v.Encode()
}

func (d *week) links(now time.Time) {
	step := 1
	if d.View == "week" {
		step = 7
	}
	d.Earlier = d.address(d.Day.AddDate(0, 0, -step), d.View, d.By, d.Whose)
	d.Later = d.address(d.Day.AddDate(0, 0, step), d.View, d.By, d.Whose)
	d.Today = d.address(now, d.View, d.By, d.Whose)
	d.AsDay = d.address(d.Day, "day", d.By, "")
	d.AsWeek = d.address(d.Day, "week", d.By, d.Whose)
}

// Other is the address of the same day by people or by rooms.
func (d *week) Other(by string) string { return d.address(d.Day, d.View, by, "") }
