package web_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"practicectl/internal/api"
	"practicectl/internal/testenv"
	"practicectl/server/authz"
	"practicectl/server/gate"
	"practicectl/server/servertest"
	"practicectl/server/web"
)

// office is a practice with the screens in front of it.
type office struct {
	*servertest.Practice
	handler http.Handler
	log     *strings.Builder
}

func open(t *testing.T) *office {
	t.Helper()
	o := &office{Practice: servertest.Start(t, testenv.PGMajors[0]), log: &strings.Builder{}}
	log := slog.New(slog.NewTextHandler(o.log, nil))
	g := gate.New(o.Authn, log, nil)
	w, err := web.New(o.Services, g, web.Options{Practice: "Praxis Lindenhof", Language: "de", Timezone: "Europe/Vienna", Currency: "EUR", Version: "1.0.0", Now: o.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	o.handler = g.Wrap(w.Handler())
	return o
}

// answer is what came back.
type answer struct {
	*http.Response
	body string
}

// send makes a request as who (nil: nobody); form nil means GET.
func (o *office) send(t *testing.T, who *authz.Caller, path string, form url.Values, headers ...string) answer {
	t.Helper()
	method, body := "GET", io.Reader(nil)
	if form != nil {
		method, body = "POST", strings.NewReader(form.Encode())
	}
	r := httptest.NewRequestWithContext(t.Context(), method, "https://praxis.test"+path, body)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if who != nil {
		r.AddCookie(&http.Cookie{Name: gate.CookieName, Value: who.Token.Reveal()})
	}
	w := httptest.NewRecorder()
	o.handler.ServeHTTP(w, r)
	return answer{w.Result(), w.Body.String()}
}

func (a answer) want(t *testing.T, status int, texts ...string) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("status %d, want %d: %s", a.StatusCode, status, textOf(a.body))
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("the page does not say %q: %s", text, textOf(a.body))
		}
	}
	return a
}

func (a answer) lacks(t *testing.T, texts ...string) answer {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(a.body, text) {
			t.Errorf("the page says %q", text)
		}
	}
	return a
}

// textOf shortens a page to what a failing test should show.
func textOf(page string) string {
	if i := strings.Index(page, "<main"); i >= 0 {
		page = page[i:]
	}
	return page[:min(len(page), 1500)]
}

// ward is some of everything, owned by one member.
type ward struct {
	anna                       *authz.Caller
	patient                    api.Patient
	session                    api.Session
	appointment                api.Appointment
	invoice                    api.Invoice
	document                   api.Document
	canary                     string
	signed                     api.Session
	start                      time.Time
	member, secretariat, admin *authz.Caller
}

func (o *office) ward(t *testing.T) ward {
	t.Helper()
	w := ward{anna: o.Person(t, "member"), canary: "Kanarienvogel-Text der Sitzung"}
	w.member, w.secretariat, w.admin = o.Person(t, "member"), o.Person(t, "secretariat"), o.Person(t, "group_admin")
	w.patient = o.Patient(t, w.anna, "Hölzl", "Änne")
	w.session = o.Session(t, w.anna, w.patient)
	w.signed = o.Session(t, w.anna, w.patient)
	o.Note(t, w.anna, w.session, w.canary)
	n := o.Note(t, w.anna, w.signed, w.canary+" unterschrieben")
	var err error
	if _, err = o.Charting.SignNote(t.Context(), w.anna, w.signed.ID, *n.Head); err != nil {
		t.Fatal(err)
	}
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	y, m, d := time.Now().In(vienna).Date()
	w.start = time.Date(y, m, d, 10, 0, 0, 0, vienna)
	if w.appointment, err = o.Schedule.Book(t.Context(), w.anna, api.Booking{PatientID: &w.patient.ID, PractitionerID: w.anna.Account.ID, Start: w.start, End: w.start.Add(50 * time.Minute), Kind: "Einzel"}); err != nil {
		t.Fatal(err)
	}
	if w.invoice, err = o.Finance.Create(t.Context(), w.anna, api.NewInvoice{PatientID: w.patient.ID, IssuedOn: "2026-03-03", DueOn: "2026-03-17", Recipient: "Änne Hölzl\nHauptplatz 1", Currency: "EUR",
		Lines: []api.NewCharge{{PerformedOn: "2026-03-02", Description: "Einzel", Quantity: 1, UnitMinor: 123456}}}); err != nil {
		t.Fatal(err)
	}
	w.document = o.document(t, w)
	return w
}
