package data

import (
	"fmt"
	"time"
)

// Generate invents a practice as of day. The same seed, size and day give the same practice.
func Generate(seed uint64, size Size, day time.Time) *Practice {
	day = time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, day.Location())
	s := newSource(seed)
	p := &Practice{Name: "Therapiezentrum Lindenhof", Day: day}
	opened := day.AddDate(-3, 0, 0)
	for _, name := range []string{"Lindenhof", "Außenstelle Mühlgasse"} {
		p.Facilities = append(p.Facilities, Facility{s.id(opened), name})
	}
	p.staff(s, opened)
	p.patients(s, size.Patients)
	p.calendar(s, size.Sessions)
	p.coming(s)
	p.invoices(s)
	p.documents(s, size.Documents)
	return p
}

func (p *Practice) staff(s *source, opened time.Time) {
	p.Staff = []Person{
		{ID: s.id(opened), Login: "leitung", Name: "Dr. Helene Brandtner", Role: "group_admin"},
		{ID: s.id(opened), Login: "empfang", Name: "Renate Hölzl", Role: "secretariat"},
	}
	for i, m := range []struct{ login, name string }{
		{"a.moser", "Anna Moser"}, {"l.steininger", "Lukas Steininger"}, {"m.yilmaz", "Mehmet Yılmaz"},
		{"k.wagner", "Katharina Wagner"}, {"j.novak", "Jana Novák"}, {"t.berger", "Thomas Berger"},
		{"s.huber", "Sophie Huber"}, {"d.kovac", "Davor Kovač"}, {"e.fuchs", "Eva Fuchs"}, {"p.lehner", "Paul Lehner"},
	} {
		facility := i % 4 / 3 // every fourth works at the second place
		p.Rooms = append(p.Rooms, Room{s.id(opened), facility, fmt.Sprintf("Raum %d", i+1)})
		p.Staff = append(p.Staff, Person{ID: s.id(opened), Login: m.login, Name: m.name, Role: "member", Discipline: i % len(disciplines), Room: i})
	}
}

// members are the indexes of those who treat patients.
func (p *Practice) members() []int {
	var out []int
	for i, person := range p.Staff {
		if person.Role == "member" {
			out = append(out, i)
		}
	}
	return out
}

func (c complaint) age(s *source) int { return c.youngest + s.IntN(c.oldest-c.youngest+1) }

func (p *Practice) patients(s *source, n int) {
	members := p.members()
	for i := range n {
		owner := members[i%len(members)]
		d := disciplines[p.Staff[owner].Discipline]
		complaint := s.IntN(len(d.complaints))
		age := d.complaints[complaint].age(s)
		created := p.Day.AddDate(0, 0, -40-s.IntN(1000)).Add(time.Duration(8+s.IntN(9)) * time.Hour)
		sex := pick(s, []string{"f", "f", "f", "m", "m"})
		given := pick(s, givenNames[sex])
		family := pick(s, familyNames)
		if s.chance(7) {
			family += "-" + pick(s, familyNames)
		}
		place := pick(s, places)
		born := p.Day.AddDate(-age, 0, -s.IntN(365))
		p.Patients = append(p.Patients, Patient{
			ID: s.id(created), Owner: owner, GivenName: given, FamilyName: family, Born: born, Sex: sex,
			Street: fmt.Sprintf("%s %d", pick(s, streets), 1+s.IntN(120)), PostalCode: place.code, City: place.name,
			Phone: fmt.Sprintf("+43 6%d0 %07d", 5+s.IntN(4), s.IntN(10_000_000)), Email: mailbox(given, family, s.IntN(90)+10),
			Insurer: pick(s, insurers), InsuranceNumber: fmt.Sprintf("%04d %s", 1000+s.IntN(9000), born.Format("020106")),
			Created: created, complaint: complaint,
		})
	}
}
