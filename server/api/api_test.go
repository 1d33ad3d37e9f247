package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	wire "practicectl/internal/api"
	"practicectl/internal/testenv"
	"practicectl/server/api"
	"practicectl/server/authz"
	"practicectl/server/gate"
	"practicectl/server/servertest"
	"practicectl/server/store"
)

// door is the API over HTTP.
type door struct {
	*servertest.Practice
	url string
	log *bytes.Buffer
	api *api.API
}

func open(t *testing.T) *door {
	t.Helper()
	d := &door{Practice: servertest.Start(t, testenv.PGMajors[0]), log: &bytes.Buffer{}}
	log := slog.New(slog.NewJSONHandler(d.log, nil))
	g := gate.New(d.Authn, log, nil)
	d.api = api.New(d.Services, g, log)
	srv := httptest.NewServer(g.Wrap(d.api.Handler()))
	t.Cleanup(srv.Close)
	d.url = srv.URL
	return d
}

// call sends body (JSON unless it is a string) as who and returns status and answer.
func (d *door) call(t *testing.T, who *authz.Caller, method, path string, body any, header ...string) (int, []byte) {
	t.Helper()
	var data []byte
	switch b := body.(type) {
	case nil:
	case string:
		data = []byte(b)
	default:
		var err error
		if data, err = json.Marshal(b); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, d.url+path, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if who != nil {
		req.AddCookie(&http.Cookie{Name: gate.CookieName, Value: who.Token.Reveal()})
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, out
}

func (d *door) want(t *testing.T, status int, code string, who *authz.Caller, method, path string, body any, header ...string) []byte {
	t.Helper()
	got, out := d.call(t, who, method, path, body, header...)
	var e wire.Error
	if code != "" {
		_ = json.Unmarshal(out, &e)
	}
	if got != status || e.Code != code {
		t.Errorf("%s %s: %d %s, want %d %s", method, path, got, out, status, code)
	}
	return out
}

func decode[T any](t *testing.T, data []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return v
}

func TestEveryRouteWantsASignIn(t *testing.T) {
	d := open(t)
	id := uuid.NewString()
	for _, r := range d.api.Routes() {
		path := strings.ReplaceAll(r.Path, "{id}", id)
		if r.Public {
			continue
		}
		d.want(t, 401, "sign_in", nil, r.Method, path, nil)
		d.want(t, 401, "sign_in", nil, r.Method, path, nil, "Authorization", "Bearer "+strings.Repeat("ab", 32))
	}
}

func TestP15_ThereIsNoWayBackFromSharing(t *testing.T) {
	d := open(t)
	anna := d.Person(t, "member")
	pat := d.Patient(t, anna, "Geteilt", "G")
	path := "/api/v1/patients/" + pat.ID.String() + "/shares"
	d.want(t, 204, "", anna, "POST", path, wire.ShareRequest{Everyone: true})
	for _, method := range []string{"DELETE", "PATCH", "PUT"} {
		d.want(t, 405, "", anna, method, path, nil)
	}
	d.want(t, 404, "", anna, "POST", "/api/v1/register", nil) // T7: nobody signs up by themselves
}

func TestTheResponseContract(t *testing.T) {
	d := open(t)
	anna, bela, sec := d.Person(t, "member"), d.Person(t, "member"), d.Person(t, "secretariat")
	pat := decode[wire.Patient](t, d.want(t, 201, "", anna, "POST", "/api/v1/patients", wire.Patient{FamilyName: "Muster", GivenName: "Max"}))
	path := "/api/v1/patients/" + pat.ID.String()

	d.want(t, 404, "not_found", bela, "GET", path, nil)
	d.want(t, 404, "not_found", bela, "PATCH", path, map[string]any{"version": 1, "phone": "1"})
	d.want(t, 404, "not_found", anna, "GET", "/api/v1/patients/"+uuid.NewString(), nil)
	d.want(t, 404, "not_found", anna, "GET", "/api/v1/patients/kein-uuid", nil)

	// P10: the second of two devices learns what the first wrote.
	d.want(t, 200, "", anna, "PATCH", path, map[string]any{"version": pat.Version, "phone": "1"})
	stale := decode[struct{ Current wire.Patient }](t, d.want(t, 412, "stale", anna, "PATCH", path, map[string]any{"version": pat.Version, "phone": "2"}))
	if stale.Current.Phone != "1" {
		t.Errorf("the stale answer shows %+v", stale.Current)
	}
	d.want(t, 422, "invalid", anna, "PATCH", path, map[string]any{"phone": "2"})
	d.want(t, 422, "invalid", anna, "PATCH", path, map[string]any{"version": 2, "sex": "?"})
	d.want(t, 422, "invalid", anna, "POST", "/api/v1/patients", `{"family_name":"x","admin":true}`)
	d.want(t, 422, "invalid", anna, "POST", "/api/v1/patients", `{"family_name":"x"}{}`)
	d.want(t, 422, "invalid", anna, "POST", "/api/v1/patients", `{"family_name":7}`)
	d.want(t, 422, "invalid", anna, "POST", "/api/v1/patients", `{"family_name":"x"}`, "Content-Type", "text/plain")
	d.want(t, 413, "too_large", anna, "POST", "/api/v1/patients", `{"remark":"`+strings.Repeat("x", gate.MaxBody)+`"}`)
	d.want(t, 422, "invalid", anna, "GET", "/api/v1/patients?limmit=3", nil)
	d.want(t, 422, "invalid", anna, "GET", "/api/v1/appointments?from=gestern", nil)
	d.want(t, 405, "", anna, "DELETE", path, nil)

	s := d.Session(t, anna, pat)
	note := "/api/v1/sessions/" + s.ID.String() + "/note"
	d.want(t, 200, "", sec, "GET", "/api/v1/sessions/"+s.ID.String(), nil)
	d.want(t, 403, "forbidden", sec, "GET", note, nil)
	d.want(t, 403, "forbidden", sec, "POST", "/api/v1/sessions", wire.Session{PatientID: pat.ID, HeldAt: s.HeldAt})
	d.want(t, 200, "", sec, "PATCH", "/api/v1/sessions/"+s.ID.String(), map[string]any{"version": 1, "price_minor": 5000})
	n := decode[wire.Note](t, d.want(t, 200, "", anna, "PUT", note, wire.NoteSave{Op: store.NewID(), Body: "eins"}))
	stale2 := decode[struct{ Current wire.Note }](t, d.want(t, 412, "stale", anna, "PUT", note, wire.NoteSave{Op: store.NewID(), Body: "zwei"}))
	if stale2.Current.Body != "eins" {
		t.Errorf("the stale answer shows %+v", stale2.Current)
	}
	d.want(t, 200, "", anna, "POST", note+"/sign", wire.NoteSign{Head: *n.Head})
	d.want(t, 409, "locked", anna, "PUT", note, wire.NoteSave{Base: n.Head, Op: store.NewID(), Body: "drei"})

	booking := wire.Booking{PatientID: &pat.ID, PractitionerID: anna.Account.ID, Start: s.HeldAt, End: s.HeldAt.Add(3600e9)}
	app := decode[wire.Appointment](t, d.want(t, 201, "", anna, "POST", "/api/v1/appointments", booking))
	d.want(t, 409, "taken", anna, "POST", "/api/v1/appointments", booking)
	d.want(t, 200, "", anna, "POST", "/api/v1/appointments/"+app.ID.String()+"/cancel", wire.VersionOnly{Version: app.Version})
	d.want(t, 412, "stale", anna, "PATCH", "/api/v1/appointments/"+app.ID.String(), wire.Rebooking{Version: app.Version})

	// Only a browser's own pages may write.
	d.want(t, 403, "", anna, "POST", "/api/v1/patients", wire.Patient{FamilyName: "Forged"}, "Origin", "https://evil.test")
	d.want(t, 403, "", anna, "POST", "/api/v1/sign-out", nil, "Sec-Fetch-Site", "cross-site")
}

func TestDocumentsOverHTTP(t *testing.T) {
	d := open(t)
	anna, bela := d.Person(t, "member"), d.Person(t, "member")
	pat := d.Patient(t, anna, "Akte", "A")
	content := strings.Repeat("<script>alert(1)</script>", 20000)
	doc := decode[wire.Document](t, d.want(t, 201, "", anna, "POST", "/api/v1/patients/"+pat.ID.String()+"/documents?name=brief.html", content, "Content-Type", "text/html"))
	path := "/api/v1/documents/" + doc.ID.String() + "/content"
	if got := d.want(t, 200, "", anna, "GET", path, nil); string(got) != content {
		t.Errorf("%d bytes came back as %d", len(content), len(got))
	}
	d.want(t, 404, "not_found", bela, "GET", path, nil)
	d.want(t, 404, "not_found", bela, "GET", "/api/v1/documents/"+doc.ID.String(), nil)
	d.want(t, 403, "forbidden", bela, "POST", "/api/v1/patients/"+pat.ID.String()+"/documents?name=x", "x", "Content-Type", "text/plain")
	req, err := http.NewRequestWithContext(t.Context(), "GET", d.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+anna.Token.Reveal())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.Header.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(resp.Header.Get("Content-Disposition"), "attachment") || !strings.Contains(resp.Header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("an uploaded page would run: %v", resp.Header)
	}
}

func TestCookiesAreBoundToTheHost(t *testing.T) {
	d := open(t)
	inv, err := d.Accounts.First(t.Context(), wire.FirstAdmin{Login: "anna", Name: "Anna"})
	if err != nil {
		t.Fatal(err)
	}
	const password = "ein sehr langer Satz 17"
	d.want(t, 401, "refused", nil, "POST", "/api/v1/activate", wire.Activate{Login: "anna", Code: "falsch", Password: password})
	d.want(t, 204, "", nil, "POST", "/api/v1/activate", wire.Activate{Login: "anna", Code: inv.Code, Password: password})
	body, err := json.Marshal(wire.SignIn{Login: "anna", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(d.url+"/api/v1/sign-in", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || strings.Contains(string(answer), "token") {
		t.Errorf("a browser's script gets %s, %v", answer, err)
	}
	c := resp.Cookies()[0]
	if c.Name != "__Host-practice" || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode {
		t.Errorf("cookie %+v", c)
	}
}

func TestT15_EveryRouteIsOnRecord(t *testing.T) {
	d := open(t)
	admin, anna := d.Person(t, "group_admin"), d.Person(t, "member")
	pat := d.Patient(t, anna, "Spur", "S")
	for _, r := range d.api.Routes() {
		for name, who := range map[string]*authz.Caller{"an administrator": admin, "a member": anna, "a stranger": d.Person(t, "scheduler")} {
			if r.Public && strings.HasSuffix(r.Path, "/sign-out") {
				who = d.Person(t, "member")
			}
			body := `{}`
			if strings.HasSuffix(r.Path, "/activate") { // a password that is too short is nobody's deed
				body = `{"login":"anna","code":"x","password":"ein sehr langer Satz"}`
			}
			before := d.Count(t, `SELECT count(*) FROM audit.entry`)
			status, _ := d.call(t, who, r.Method, strings.ReplaceAll(r.Path, "{id}", pat.ID.String()), body)
			if status >= 500 || d.Count(t, `SELECT count(*) FROM audit.entry`) == before {
				t.Errorf("%s %s by %s (%d) left no trace", r.Method, r.Path, name, status)
			}
		}
	}
}

func TestErrorsAndLogsTellNothing(t *testing.T) {
	d := open(t)
	const canary = "Kanarienvogel"
	anna, sec := d.Person(t, "member"), d.Person(t, "secretariat")
	pat := decode[wire.Patient](t, d.want(t, 201, "", anna, "POST", "/api/v1/patients", wire.Patient{FamilyName: canary, GivenName: canary, Remark: canary, City: canary}))
	s := d.Session(t, anna, pat)
	d.Note(t, anna, s, canary)
	var answers bytes.Buffer
	for _, r := range d.api.Routes() {
		for _, id := range []string{pat.ID.String(), s.ID.String(), canary} {
			path := strings.ReplaceAll(r.Path, "{id}", id)
			for _, body := range []any{nil, map[string]string{canary: canary}, `{"family_name":"` + canary + `","birth_date":"` + canary + `"}`, `"` + canary} {
				status, out := d.call(t, sec, r.Method, path+"?q="+canary, body)
				if status/100 != 2 {
					answers.Write(out)
				}
			}
		}
	}
	for name, text := range map[string]string{"answers": answers.String(), "log": d.log.String()} {
		if i := strings.Index(text, canary); i >= 0 {
			t.Errorf("the %s tell: …%s…", name, text[max(0, i-200):min(len(text), i+100)])
		}
	}
	if strings.Contains(d.log.String(), anna.Token.Reveal()) || strings.Contains(d.log.String(), sec.Token.Reveal()) {
		t.Error("the log holds a session token")
	}
}
