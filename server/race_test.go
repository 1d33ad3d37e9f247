package server_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/problem"
	"practicectl/server/servertest"
	"practicectl/server/store"
)

// together runs n copies of f at once and returns their errors.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func TestFiftyPeopleBookOneHour(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		admin, anna := p.Person(t, "group_admin"), p.Person(t, "member")
		room := ok[api.Room](t)(p.Schedule.AddRoom(t.Context(), admin, api.Room{Name: "Zimmer 1"}))
		start := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
		errs := together(50, func(i int) error {
			_, err := p.Schedule.Book(t.Context(), anna, api.Booking{PractitionerID: anna.Account.ID, Start: start.Add(time.Duration(i) * time.Minute), End: start.Add(time.Hour)})
			return err
		})
		booked := 0
		for _, err := range errs {
			if err == nil {
				booked++
			} else if !problem.Is(err, problem.Taken) {
				t.Errorf("refused with %v", err)
			}
		}
		if booked != 1 {
			t.Errorf("%d of 50 got the hour", booked)
		}
		// Another practitioner, one room.
		var people []*authz.Caller
		for range 10 {
			people = append(people, p.Person(t, "member"))
		}
		errs = together(len(people), func(i int) error {
			_, err := p.Schedule.Book(t.Context(), people[i], api.Booking{PractitionerID: people[i].Account.ID, RoomID: &room.ID, Start: start, End: start.Add(time.Hour)})
			return err
		})
		if got := len(slices.DeleteFunc(errs, func(err error) bool { return err != nil })); got != 1 {
			t.Errorf("%d of 10 got the room", got)
		}
	})
}

func TestP19_ReferenceNumbersHaveNoGaps(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		const accounts, each = 10, 20
		var people []*authz.Caller
		var patients []api.Patient
		for range accounts {
			who := p.Person(t, "member")
			people = append(people, who)
			patients = append(patients, p.Patient(t, who, "Nummer", "N"))
		}
		errs := together(accounts*each, func(i int) error {
			who, pat := people[i%accounts], patients[i%accounts]
			n := api.NewInvoice{PatientID: pat.ID, IssuedOn: "2026-06-01", DueOn: "2026-06-15", Currency: "EUR",
				Lines: []api.NewCharge{{PerformedOn: "2026-06-01", Description: "Sitzung", Quantity: 1, UnitMinor: 9000}}}
			if i%5 == 0 { // fails after the number was drawn
				n.PatientID = patients[(i+1)%accounts].ID
				_, err := p.Finance.Create(t.Context(), who, n)
				if err == nil {
					return fmt.Errorf("an invoice to a foreign patient was written")
				}
				n.PatientID = pat.ID
			}
			_, err := p.Finance.Create(t.Context(), who, n)
			return err
		})
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
		if n := p.Count(t, `SELECT count(DISTINCT ref_no) FROM pm.invoice`); n != accounts*each {
			t.Errorf("%d different numbers", n)
		}
		for _, who := range people {
			last := fmt.Sprintf("2026-%06d-%d", each, who.Account.Number)
			if n := p.Count(t, `SELECT count(*) FROM pm.invoice WHERE owner_id = $1 AND ref_no <= $2`, who.Account.ID, last); n != each {
				t.Errorf("account %d has %d numbers up to %s", who.Account.Number, n, last)
			}
		}
		// P20: the number leads to its creator.
		admin := p.Person(t, "group_admin")
		if got := p.Count(t, `SELECT count(*) FROM pm.invoice`); got == 0 {
			t.Fatal("no invoices")
		}
		list := ok[[]api.Invoice](t)(p.Finance.List(t.Context(), admin, financeByRef(fmt.Sprintf("2026-000007-%d", people[3].Account.Number))))
		if len(list) != 1 || list[0].OwnerID != people[3].Account.ID {
			t.Errorf("the number leads to %+v", list)
		}
	})
}

func TestASessionIsBilledOnce(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		anna := p.Person(t, "member")
		pat := p.Patient(t, anna, "Einmal", "E")
		s := p.Session(t, anna, pat)
		errs := together(10, func(int) error {
			_, err := p.Finance.Create(t.Context(), anna, api.NewInvoice{PatientID: pat.ID, IssuedOn: "2026-06-01", DueOn: "2026-06-15", Currency: "EUR", Sessions: sessionIDs(s)})
			return err
		})
		billed := 0
		for _, err := range errs {
			if err == nil {
				billed++
			} else if !problem.Is(err, problem.Conflict) {
				t.Errorf("refused with %v", err)
			}
		}
		if billed != 1 {
			t.Errorf("billed %d times", billed)
		}
	})
}

func TestOfManyWritersUponOneVersionOneWins(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		anna := p.Person(t, "member")
		s := p.Session(t, anna, p.Patient(t, anna, "Wett", "Lauf"))
		n := p.Note(t, anna, s, "Anfang")
		errs := together(20, func(i int) error {
			_, err := p.Charting.SaveNote(t.Context(), anna, s.ID, api.NoteSave{Base: n.Head, Op: store.NewID(), Body: fmt.Sprint(i)})
			return err
		})
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !problem.Is(err, problem.Stale) {
				t.Errorf("refused with %v", err)
			}
		}
		if won != 1 {
			t.Errorf("%d writers won", won)
		}
		// The same save, sent again and again, is one version.
		op := store.NewID()
		now := ok[api.Note](t)(p.Charting.Note(t.Context(), anna, s.ID))
		for range 3 {
			ok[api.Note](t)(p.Charting.SaveNote(t.Context(), anna, s.ID, api.NoteSave{Base: now.Head, Op: op, Body: "Ende"}))
		}
		if got := ok[[]api.NoteVersion](t)(p.Charting.History(t.Context(), anna, s.ID)); len(got) != 3 || got[2].Body != "Ende" {
			t.Errorf("history: %+v", got)
		}
	})
}
