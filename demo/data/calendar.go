package data

import "time"

// grid is the times at which a treatment can begin, in minutes after midnight.
var grid = []int{8 * 60, 9 * 60, 10 * 60, 11 * 60, 13 * 60, 14 * 60, 15 * 60, 16 * 60, 17 * 60}

// workingDays is how far back the past should reach when there are fewer sessions than time for them: two years.
const workingDays = 500

// slots yields free (member, time) pairs going back from the day before p.Day, or forward from p.Day. As every member
// has a room of their own and a slot is given once, nothing is booked twice.
type slots struct {
	p       *Practice
	members []int
	day     time.Time
	step    int
	gaps    int // percent of the grid that stays empty
	queue   []slot
}

type slot struct {
	member int
	begin  time.Time
}

func (c *slots) next(s *source) slot {
	for len(c.queue) == 0 {
		if wd := c.day.Weekday(); wd != time.Saturday && wd != time.Sunday {
			for _, m := range c.members {
				for _, minute := range grid {
					if s.chance(c.gaps) {
						continue
					}
					begin := time.Date(c.day.Year(), c.day.Month(), c.day.Day(), minute/60, minute%60, 0, 0, c.day.Location())
					c.queue = append(c.queue, slot{m, begin})
				}
			}
			s.Shuffle(len(c.queue), func(i, j int) { c.queue[i], c.queue[j] = c.queue[j], c.queue[i] })
		}
		c.day = c.day.AddDate(0, 0, c.step)
	}
	head := c.queue[0]
	c.queue = c.queue[1:]
	return head
}

// byMember lists the patients of each member.
func (p *Practice) byMember() map[int][]int {
	out := map[int][]int{}
	for i, patient := range p.Patients {
		out[patient.Owner] = append(out[patient.Owner], i)
	}
	return out
}

// calendar fills the past with sessions, each with the appointment it came from, oldest first.
func (p *Practice) calendar(s *source, n int) {
	members := p.members()
	full := len(members) * len(grid) * workingDays
	free := &slots{p: p, members: members, day: p.Day.AddDate(0, 0, -1), step: -1, gaps: max(8, min(97, 100-100*n/full))}
	taken := make([]slot, n)
	for i := range taken {
		taken[n-1-i] = free.next(s)
	}
	own := p.byMember()
	count := make([]int, len(p.Patients))
	for _, sl := range taken {
		patient := pick(s, own[sl.member])
		d := disciplines[p.Staff[sl.member].Discipline]
		count[patient]++
		end := sl.begin.Add(time.Duration(d.minutes) * time.Minute)
		if s.chance(4) { // not every appointment became a session
			p.Appointments = append(p.Appointments, Appointment{s.id(sl.begin), patient, sl.begin, end, pick(s, []string{"cancelled", "noshow"}), d.service})
		}
		p.Appointments = append(p.Appointments, Appointment{s.id(sl.begin), patient, sl.begin, end, "done", d.service})
		p.Sessions = append(p.Sessions, Session{
			ID: s.id(sl.begin), Patient: patient, Appointment: len(p.Appointments) - 1, Begin: sl.begin, Minutes: d.minutes,
			PriceCents: d.cents, Service: d.service, Note: s.note(d, d.complaints[p.Patients[patient].complaint], count[patient]),
			Signed: p.Day.Sub(sl.begin) > 14*24*time.Hour,
		})
	}
	for i := range p.Patients { // nobody was treated before they were known
		p.Patients[i].Created = earliest(p.Patients[i].Created, taken, s)
	}
}

// earliest keeps a patient's first contact before the first session of the practice's remembered past.
func earliest(created time.Time, taken []slot, s *source) time.Time {
	if len(taken) == 0 || created.Before(taken[0].begin) {
		return created
	}
	return taken[0].begin.AddDate(0, 0, -1-s.IntN(200))
}

// coming books the next three weeks.
func (p *Practice) coming(s *source) {
	free := &slots{p: p, members: p.members(), day: p.Day, step: 1, gaps: 8}
	own := p.byMember()
	until := p.Day.AddDate(0, 0, 21)
	for {
		sl := free.next(s)
		if !sl.begin.Before(until) {
			return
		}
		if s.chance(25) {
			continue // still free
		}
		d := disciplines[p.Staff[sl.member].Discipline]
		p.Appointments = append(p.Appointments, Appointment{
			s.id(p.Day.Add(-time.Duration(1+s.IntN(500)) * time.Hour)), pick(s, own[sl.member]), sl.begin,
			sl.begin.Add(time.Duration(d.minutes) * time.Minute), "booked", d.service})
	}
}

// invoices charges the sessions of each patient, some at a time, but not those of the last weeks.
func (p *Practice) invoices(s *source) {
	open := make([][]int, len(p.Patients))
	for i, session := range p.Sessions {
		if p.Day.Sub(session.Begin) < 20*24*time.Hour {
			continue
		}
		open[session.Patient] = append(open[session.Patient], i)
		if len(open[session.Patient]) < 4+session.Patient%5 {
			continue
		}
		issued := session.Begin.Add(26 * time.Hour)
		inv := Invoice{ID: s.id(issued), Patient: session.Patient, Issued: issued}
		for _, n := range open[session.Patient] {
			inv.Charges = append(inv.Charges, Charge{s.id(issued), n})
			inv.Cents += p.Sessions[n].PriceCents
		}
		if paid := issued.AddDate(0, 0, 3+s.IntN(30)); paid.Before(p.Day) && s.chance(93) {
			inv.Payment, inv.Paid = s.id(paid), paid
		}
		p.Invoices = append(p.Invoices, inv)
		open[session.Patient] = nil
	}
}
