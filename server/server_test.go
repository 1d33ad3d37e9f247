package server_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/uuid"

	"practicectl/internal/api"
	"practicectl/internal/testenv"
	"practicectl/server/documents"
	"practicectl/server/finance"
	"practicectl/server/problem"
	"practicectl/server/records"
	"practicectl/server/schedule"
	"practicectl/server/servertest"
	"practicectl/server/store"
)

// each runs a test on every supported PostgreSQL.
func each(t *testing.T, f func(t *testing.T, p *servertest.Practice)) {
	t.Helper()
	for _, major := range testenv.PGMajors {
		t.Run(fmt.Sprintf("pg%d", major), func(t *testing.T) { f(t, servertest.Start(t, major)) })
	}
}

func want(t *testing.T, err error, code problem.Code) {
	t.Helper()
	if !problem.Is(err, code) {
		t.Fatalf("got %v (%#v), want %s", err, problem.As(err), code)
	}
}

func ok[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			if p := problem.As(err); p != nil {
				t.Fatalf("%v: %v %v", err, p.Err, p.Fields)
			}
			t.Fatal(err)
		}
		return v
	}
}

func TestADayAtThePractice(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		ctx := t.Context()
		anna := p.Person(t, "member")
		pat := p.Patient(t, anna, "Müller", "Änne")

		page := ok[api.Page[api.Patient]](t)(p.Records.Search(ctx, anna, records.Query{Text: "mueller anne"}))
		if page.Total != 1 || page.Items[0].ID != pat.ID {
			t.Fatalf("search found %+v", page)
		}
		page = ok[api.Page[api.Patient]](t)(p.Records.Search(ctx, anna, records.Query{Text: "24.12.1980"}))
		if page.Total != 1 {
			t.Fatalf("search by birth date found %d", page.Total)
		}

		pat.Phone = "0123"
		changed := ok[api.Patient](t)(p.Records.Update(ctx, anna, pat))
		if changed.Version != pat.Version+1 || changed.Phone != "0123" {
			t.Fatalf("update gave %+v", changed)
		}
		_, err := p.Records.Update(ctx, anna, pat)
		want(t, err, problem.Stale)

		start := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
		booking := api.Booking{PatientID: &pat.ID, PractitionerID: anna.Account.ID, Start: start, End: start.Add(50 * time.Minute), Kind: "Erstgespräch"}
		app := ok[api.Appointment](t)(p.Schedule.Book(ctx, anna, booking))
		if app.PatientName != "Müller, Änne" {
			t.Fatalf("booked %+v", app)
		}
		_, err = p.Schedule.Book(ctx, anna, booking)
		want(t, err, problem.Taken)
		later, end := start.Add(time.Hour), start.Add(110*time.Minute)
		app = ok[api.Appointment](t)(p.Schedule.Move(ctx, anna, app.ID, app.Version, schedule.Change{Start: &later, End: &end}))
		ok[api.Appointment](t)(p.Schedule.Book(ctx, anna, booking))
		day := ok[[]api.Appointment](t)(p.Schedule.List(ctx, anna, schedule.Query{From: start.Truncate(24 * time.Hour), To: start.Truncate(24*time.Hour).AddDate(0, 0, 1)}))
		if len(day) != 2 {
			t.Fatalf("day has %d appointments", len(day))
		}
		ok[api.Appointment](t)(p.Schedule.Cancel(ctx, anna, app.ID, app.Version))

		s := p.Session(t, anna, pat)
		n := p.Note(t, anna, s, "erster Eindruck")
		n2 := ok[api.Note](t)(p.Charting.SaveNote(ctx, anna, s.ID, api.NoteSave{Base: n.Head, Op: store.NewID(), Body: "zweiter"}))
		_, err = p.Charting.SaveNote(ctx, anna, s.ID, api.NoteSave{Base: n.Head, Op: store.NewID(), Body: "verlorenes Update"})
		want(t, err, problem.Stale)
		signed := ok[api.Note](t)(p.Charting.SignNote(ctx, anna, s.ID, *n2.Head))
		if signed.Status != "signed" || signed.Versions != 2 {
			t.Fatalf("signed %+v", signed)
		}
		_, err = p.Charting.SaveNote(ctx, anna, s.ID, api.NoteSave{Base: n2.Head, Op: store.NewID(), Body: "zu spät"})
		want(t, err, problem.Locked)

		inv := ok[api.Invoice](t)(p.Finance.Create(ctx, anna, api.NewInvoice{PatientID: pat.ID, IssuedOn: "2026-03-31", DueOn: "2026-04-14", Currency: "EUR", Sessions: []uuid.UUID{s.ID},
			Lines: []api.NewCharge{{PerformedOn: "2026-03-02", Description: "Bericht", Quantity: 2, UnitMinor: 500}}}))
		if inv.RefNo != fmt.Sprintf("2026-000001-%d", anna.Account.Number) || inv.TotalMinor != 12000 || len(inv.Charges) != 2 {
			t.Fatalf("invoice %+v", inv)
		}
		_, err = p.Finance.Create(ctx, anna, api.NewInvoice{PatientID: pat.ID, IssuedOn: "2026-03-31", DueOn: "2026-04-14", Currency: "EUR", Sessions: []uuid.UUID{s.ID}})
		want(t, err, problem.Conflict)
		ok[api.Invoice](t)(p.Finance.Cancel(ctx, anna, inv.ID, inv.Version))
		inv = ok[api.Invoice](t)(p.Finance.Create(ctx, anna, api.NewInvoice{PatientID: pat.ID, IssuedOn: "2026-04-30", DueOn: "2026-05-14", Currency: "EUR", Sessions: []uuid.UUID{s.ID}}))
		inv = ok[api.Invoice](t)(p.Finance.Pay(ctx, anna, inv.ID, api.NewPayment{ReceivedOn: "2026-05-02", AmountMinor: 11000, Method: "transfer"}))
		if inv.Status != "paid" || inv.PaidMinor != 11000 || inv.RefNo != fmt.Sprintf("2026-000002-%d", anna.Account.Number) {
			t.Fatalf("paid %+v", inv)
		}
	})
}

func TestDocumentsComeBackByteByByte(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		anna := p.Person(t, "member")
		pat := p.Patient(t, anna, "Berg", "Ute")
		for _, size := range []int{0, 1, 256 << 10, 256<<10 + 1, 5<<20 + 7} {
			data := bytes.Repeat([]byte("Befund "), size/7+1)[:size]
			d := ok[api.Document](t)(p.Documents.Store(t.Context(), anna, documents.NewDocument{PatientID: pat.ID, Name: "../ärztl. Brief.pdf", MediaType: "application/pdf"}, bytes.NewReader(data)))
			if d.Name != "ärztl. Brief.pdf" || d.Size != int64(size) {
				t.Fatalf("stored %+v", d)
			}
			var got bytes.Buffer
			if err := p.Documents.Fetch(t.Context(), anna, d.ID, func(api.Document) io.Writer { return &got }); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), data) {
				t.Fatalf("%d bytes came back as %d", size, got.Len())
			}
		}
		_, err := p.Documents.Store(t.Context(), anna, documents.NewDocument{PatientID: pat.ID, Name: "x"}, bytes.NewReader(make([]byte, documents.MaxSize+1)))
		want(t, err, problem.TooLarge)
	})
}

func financeByRef(ref string) finance.Query { return finance.Query{RefNo: ref} }

func sessionIDs(s api.Session) []uuid.UUID { return []uuid.UUID{s.ID} }
