package browser

import (
	"crypto/x509"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"practicectl/demo/data"
	"practicectl/internal/api"
	"practicectl/internal/testenv"
	"practicectl/server/authn"
	"practicectl/server/authz"
	"practicectl/server/documents"
	"practicectl/server/gate"
	"practicectl/server/servertest"
	"practicectl/server/web"
)

const password = "Lindenblüten im Oktober"

// house is a practice with people, patients and a calendar, served over TLS.
type house struct {
	*servertest.Practice
	url   string
	cert  *x509.Certificate
	zone  *time.Location
	today time.Time // midnight
	day   time.Time // a working day
	log   *strings.Builder
	phc   string // hash of everybody's password

	admin, desk, anna *authz.Caller
	staff             []*authz.Caller
	rooms             []api.Room
	patient           api.Patient // anna's, with a past
	note              string      // canary: text of a note of patient
	session           api.Session // with that note, not signed
	signed            api.Session
	appointment       api.Appointment
	invoice           api.Invoice
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{Practice: servertest.Start(t, testenv.PGMajors[0]), log: &strings.Builder{}}
	var err error
	if h.zone, err = time.LoadLocation("Europe/Vienna"); err != nil {
		t.Fatal(err)
	}
	y, m, d := time.Now().In(h.zone).Date()
	h.today = time.Date(y, m, d, 0, 0, 0, 0, h.zone)
	for h.day = h.today; h.day.Weekday() == time.Saturday || h.day.Weekday() == time.Sunday; {
		h.day = h.day.AddDate(0, 0, 1)
	}
	g := gate.New(h.Authn, slog.New(slog.DiscardHandler), nil)
	w, err := web.New(h.Services, g, web.Options{Practice: "Therapiezentrum Lindenhof", Language: "de", Timezone: "Europe/Vienna", Currency: "EUR", Version: "1.0.0",
		Log: slog.New(slog.NewTextHandler(h.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(g.Wrap(w.Handler()))
	t.Cleanup(server.Close)
	h.url, h.cert = server.URL, server.Certificate()
	h.people(t)
	h.records(t)
	return h
}

// person adds somebody with a name and the password.
func (h *house) person(t *testing.T, login, name, role string) *authz.Caller {
	t.Helper()
	who := h.Person(t, role)
	h.Exec(t, `UPDATE sec.account SET login = $2, name = $3 WHERE id = $1`, who.Account.ID, login, name)
	h.Exec(t, `UPDATE sec.credential SET pw_hash = $2 WHERE account_id = $1`, who.Account.ID, h.phc)
	return who
}

func (h *house) people(t *testing.T) {
	t.Helper()
	var err error
	if h.phc, err = authn.Hash(t.Context(), password); err != nil {
		t.Fatal(err)
	}
	h.admin = h.person(t, "leitung", "Dr. Helene Brandtner", "group_admin")
	h.desk = h.person(t, "empfang", "Renate Hölzl", "secretariat")
	for _, p := range [][2]string{{"a.moser", "Anna Moser"}, {"l.steininger", "Lukas Steininger"}, {"m.yilmaz", "Mehmet Yılmaz"}, {"k.wagner", "Katharina Wagner"}, {"j.novak", "Jana Novák"}} {
		h.staff = append(h.staff, h.person(t, p[0], p[1], "member"))
	}
	h.anna = h.staff[0]
	for _, name := range []string{"Raum 1", "Raum 2", "Bewegungsraum", "Gruppenraum"} {
		r, err := h.Schedule.AddRoom(t.Context(), h.admin, api.Room{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		h.rooms = append(h.rooms, r)
	}
}

// records invents patients, today's calendar, and one patient with a past.
func (h *house) records(t *testing.T) {
	t.Helper()
	p := data.Generate(7, data.Small, h.day)
	for i, v := range p.Patients[:40] {
		who := h.staff[i%len(h.staff)]
		made, err := h.Records.Create(t.Context(), who, api.Patient{FamilyName: v.FamilyName, GivenName: v.GivenName, Sex: v.Sex, BirthDate: api.Date(v.Born.Format(time.DateOnly)), Street: v.Street,
			PostalCode: v.PostalCode, City: v.City, Country: "AT", Mobile: v.Phone, Email: v.Email, Insurer: v.Insurer, InsuranceNo: v.InsuranceNumber, InsuranceKind: "statutory", Language: "de"})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			h.patient = made
		}
		hour := []int{8, 9, 10, 11, 14, 15, 16, 17}[(i/len(h.staff))%8]
		if (i+hour)%6 == 0 {
			continue // some time stays free
		}
		day := h.day
		if i%4 == 3 {
			day = day.AddDate(0, 0, 1+i%3)
		}
		start := day.Add(time.Duration(hour) * time.Hour)
		b := api.Booking{PatientID: &made.ID, PractitionerID: who.Account.ID, Start: start, End: start.Add(50 * time.Minute), Kind: []string{"Einzelbehandlung", "Erstgespräch", "Kontrolle"}[i%3]}
		if i%len(h.staff) < len(h.rooms) {
			b.RoomID = &h.rooms[i%len(h.staff)].ID
		}
		a, err := h.Schedule.Book(t.Context(), who, b)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			h.appointment = a
		}
	}
	h.past(t, p)
}

func (h *house) past(t *testing.T, p *data.Practice) {
	t.Helper()
	h.note = p.Sessions[0].Note
	for i := range 8 {
		v, err := h.Charting.Create(t.Context(), h.anna, api.Session{PatientID: h.patient.ID, HeldAt: h.day.AddDate(0, 0, -7*(i+1)).Add(9 * time.Hour), DurationMin: 50, Kind: "Psychotherapie Einzelsitzung", Code: "PT50", PriceMinor: 11000})
		if err != nil {
			t.Fatal(err)
		}
		n := h.Note(t, h.anna, v, p.Sessions[i].Note)
		if i == 0 {
			h.session = v
			continue
		}
		h.signed = v
		if _, err := h.Charting.SignNote(t.Context(), h.anna, v.ID, *n.Head); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if h.invoice, err = h.Finance.Create(t.Context(), h.anna, api.NewInvoice{PatientID: h.patient.ID, IssuedOn: api.Date(h.day.AddDate(0, 0, -30).Format(time.DateOnly)), DueOn: api.Date(h.day.AddDate(0, 0, -16).Format(time.DateOnly)),
		Recipient: h.patient.GivenName + " " + h.patient.FamilyName + "\n" + h.patient.Street + "\n" + h.patient.PostalCode + " " + h.patient.City, Currency: "EUR",
		Lines: []api.NewCharge{{PerformedOn: api.Date(h.day.AddDate(0, 0, -31).Format(time.DateOnly)), Code: "PT50", Description: "Psychotherapie Einzelsitzung", Quantity: 3, UnitMinor: 11000}}}); err != nil {
		t.Fatal(err)
	}
	d := p.Documents[0]
	if _, err := h.Documents.Store(t.Context(), h.anna, documents.NewDocument{PatientID: h.patient.ID, Name: d.Name, Category: d.Category, MediaType: d.MIMEType}, strings.NewReader(string(d.Content))); err != nil {
		t.Fatal(err)
	}
}

// signIn opens a browser and signs somebody in through the form.
func (h *house) signIn(t *testing.T, login string) *window {
	t.Helper()
	w := h.open(t)
	w.goTo("/sign-in")
	w.fill("#f-login", login)
	w.fill("#f-password", password)
	w.press("button.primary")
	w.do(chromedp.WaitVisible(chromedp.CSS(".side")))
	return w
}
