package web_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"practicectl/server/authn"
	"practicectl/server/authz"
	"practicectl/server/gate"
)

// TestScreensAreSealed: headers, no code or style in pages, everything from this server, small.
func TestScreensAreSealed(t *testing.T) {
	o := open(t)
	w := o.ward(t)
	inline := regexp.MustCompile(`(?i)<script(?:[^>]*[^r]c=|>)|<style|\sstyle=|\son[a-z]+=|javascript:|hx-on`)
	away := regexp.MustCompile(`(?:href|src|action)="(?:https?:)?//`)
	for path := range w.paths() {
		a := o.send(t, w.admin, path, nil)
		if strings.HasPrefix(path, "/documents/") {
			if a.Header.Get("Content-Disposition") == "" || !strings.Contains(a.Header.Get("Content-Security-Policy"), "sandbox") {
				t.Errorf("%s could run in the page: %v", path, a.Header)
			}
			continue
		}
		csp := a.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, a.Header)
		}
		if m := inline.FindString(a.body); m != "" {
			t.Errorf("%s has code or style in the page: %q", path, m)
		}
		if m := away.FindString(a.body); m != "" {
			t.Errorf("%s leads away: %q", path, m)
		}
	}

	// First load: the page and all that it loads, packed, below 80 kB.
	total := 0
	page := o.send(t, w.admin, "/calendar?view=day", nil)
	bodies := []string{page.body}
	for _, m := range regexp.MustCompile(`(?:src|href)="(/static/[^"]+)"`).FindAllStringSubmatch(page.body, -1) {
		a := o.send(t, nil, m[1], nil).want(t, 200)
		if !strings.Contains(a.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s is loaded again each time", m[1])
		}
		bodies = append(bodies, a.body)
	}
	for _, body := range bodies {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		total += b.Len()
	}
	if len(bodies) < 5 || total > 80_000 {
		t.Errorf("the first load is %d bytes in %d files", total, len(bodies))
	}
}

// TestNamesAreText: what people type is shown as they typed it and never runs.
func TestNamesAreText(t *testing.T) {
	o := open(t)
	anna := o.Person(t, "group_admin")
	evil := `<script>alert(1)</script>"'><img src=x onerror=alert(2)>`
	p := o.Patient(t, anna, evil, evil)
	s := o.Session(t, anna, p)
	o.Note(t, anna, s, evil+"</textarea>"+evil)
	for _, path := range []string{"/patients", "/patients?q=" + url.QueryEscape(evil), "/patients/" + p.ID.String(), "/patients/" + p.ID.String() + "/edit", "/patients/" + p.ID.String() + "/share",
		"/sessions?month=2026-03", "/sessions/" + s.ID.String(), "/sessions/" + s.ID.String() + "/history", "/invoices/new?patient=" + p.ID.String(), "/appointments/new?patient_q=script&kind=" + url.QueryEscape(evil)} {
		o.send(t, anna, path, nil).want(t, 200, "&lt;script&gt;").lacks(t, "<script>alert", "<img")
	}
	o.send(t, nil, "/sign-in?login="+url.QueryEscape(evil)+"&to="+url.QueryEscape(`"><script>`), nil).want(t, 200).lacks(t, "<script>alert", `"><script>`)
}

// TestP10_StaleAndFinalThingsAreSaid: 412 with both versions, 409 for what is final or taken, 422 with the field.
func TestP10_StaleAndFinalThingsAreSaid(t *testing.T) {
	o := open(t)
	w := o.ward(t)
	path := "/patients/" + w.patient.ID.String()
	form := func(phone string, version int64) url.Values {
		return url.Values{"family_name": {"Hölzl"}, "given_name": {"Änne"}, "phone": {phone}, "status": {"active"}, "version": {fmt.Sprint(version)}}
	}
	o.send(t, w.secretariat, path, form("01 111", w.patient.Version)).want(t, 303)
	o.send(t, w.anna, path, form("02 222", w.patient.Version)).want(t, 412, "01 111", "02 222", fmt.Sprintf(`name="version" value="%d"`, w.patient.Version+1))
	o.send(t, w.anna, path, url.Values{"family_name": {""}, "status": {"active"}, "version": {"2"}}).want(t, 422, "Bitte ausfüllen", `aria-invalid="true"`)

	note := "/sessions/" + w.session.ID.String() + "/note"
	o.send(t, w.anna, note, url.Values{"body": {"über etwas anderes"}, "op": {w.patient.ID.String()}}).want(t, 412, "über etwas anderes", w.canary, "Jemand anderes hat dieses Protokoll")
	o.send(t, w.anna, "/sessions/"+w.signed.ID.String()+"/note", url.Values{"body": {"zu spät"}}).want(t, 409, "inzwischen unterschrieben", "zu spät")
	o.send(t, w.secretariat, note, url.Values{"body": {"Sekretariat schreibt"}}).want(t, 403, "Dazu fehlt Ihnen das Recht")
	o.send(t, w.member, note, url.Values{"body": {"Fremde schreibt"}}).want(t, 404)

	day := w.start.Format(time.DateOnly)
	booking := url.Values{"day": {day}, "time": {"10:30"}, "minutes": {"30"}, "practitioner": {w.anna.Account.ID.String()}, "patient": {w.patient.ID.String()}}
	o.send(t, w.secretariat, "/appointments", booking).want(t, 409, "Diese Zeit ist schon vergeben", "von 10:00 bis 10:50", "Frei an diesem Tag", "08:00")
	booking.Set("time", "11:00")
	o.send(t, w.secretariat, "/appointments", booking).want(t, 303)
	booking.Del("patient")
	booking.Set("patient_q", "holzl")
	o.send(t, w.secretariat, "/appointments", booking).want(t, 422, "Wählen Sie einen Klienten", `name="patient" value="`+w.patient.ID.String()+`"`)
	chosen := "/appointments/new?patient=" + w.patient.ID.String()
	o.send(t, w.secretariat, chosen, nil).want(t, 200, "Hölzl, Änne")
	o.send(t, w.secretariat, chosen+"&another=1", nil).want(t, 200).lacks(t, "Hölzl, Änne")
	a := "/appointments/" + w.appointment.ID.String()
	move := url.Values{"day": {day}, "time": {"11:10"}, "minutes": {"50"}, "practitioner": {w.anna.Account.ID.String()}, "version": {fmt.Sprint(w.appointment.Version)}, "status": {"booked"}}
	o.send(t, w.anna, a, move).want(t, 409, "Diese Zeit ist schon vergeben")
	move.Set("time", "13:00")
	o.send(t, w.anna, a, move).want(t, 303)
	o.send(t, w.anna, a, move).want(t, 412, "Jemand anderes hat diesen Termin")
	o.send(t, w.anna, a+"/cancel", url.Values{"version": {fmt.Sprint(w.appointment.Version + 1)}}).want(t, 303)

	for _, bad := range []string{"/patients", "/appointments", "/sessions", "/invoices", path, a, "/sessions/" + w.session.ID.String(), path + "/share", path + "/documents"} {
		if got := o.send(t, w.anna, bad, url.Values{}).StatusCode; got != 422 && got != 404 {
			t.Errorf("an empty form to %s: %d", bad, got)
		}
	}
}

// TestP18_InvoicesFromSessionsToPayment bills sessions, refuses to bill them twice, takes money in the reader's spelling.
func TestP18_InvoicesFromSessionsToPayment(t *testing.T) {
	o := open(t)
	w := o.ward(t)
	form := url.Values{"patient": {w.patient.ID.String()}, "session": {w.session.ID.String(), w.signed.ID.String()}, "issued_on": {"2026-03-31"}, "due_on": {"2026-04-14"}, "description": {"Attest"}, "amount": {"1.234,50"}}
	a := o.send(t, w.anna, "/invoices", form).want(t, 303)
	bill := strings.Split(a.Header.Get("Location"), "?")[0]
	o.send(t, w.anna, bill, nil).want(t, 200, "1.454,50\u00a0€", "Attest", "Einzel", "-"+fmt.Sprint(w.anna.Account.Number))
	o.send(t, w.anna, "/invoices", form).want(t, 409, "inzwischen verrechnet")
	o.send(t, w.anna, bill+"/payments", url.Values{"amount": {"-5"}, "received_on": {"2026-04-01"}, "method": {"cash"}}).want(t, 422)
	o.send(t, w.secretariat, bill+"/payments", url.Values{"amount": {"1454,50"}, "received_on": {"2026-04-01"}, "method": {"cash"}}).want(t, 303)
	o.send(t, w.secretariat, bill, nil).want(t, 200, "bezahlt", "Bar")
	o.send(t, w.secretariat, bill+"/cancel", url.Values{"version": {"2"}}).want(t, 409, "kann nicht storniert werden")
}

// TestP15_SharingAsksForTheNames: two steps, and nothing is shared by the first.
func TestP15_SharingAsksForTheNames(t *testing.T) {
	o := open(t)
	w := o.ward(t)
	path := "/patients/" + w.patient.ID.String()
	form := url.Values{"account": {w.member.Account.ID.String()}}
	o.send(t, w.anna, path+"/share", form).want(t, 200, "Wirklich freigeben?", w.member.Account.Name, "lässt sich nicht zurücknehmen")
	o.send(t, w.member, path, nil).want(t, 404)
	form.Set("confirmed", "yes")
	o.send(t, w.anna, path+"/share", form).want(t, 303)
	o.send(t, w.member, path, nil).want(t, 200, "Hölzl")
	o.send(t, w.member, path+"/share", form).want(t, 403)
	for _, method := range []string{"DELETE", "PATCH", "PUT"} {
		r := httptest.NewRequestWithContext(t.Context(), method, "https://praxis.test"+path+"/share", nil)
		r.AddCookie(&http.Cookie{Name: gate.CookieName, Value: w.anna.Token.Reveal()})
		rec := httptest.NewRecorder()
		o.handler.ServeHTTP(rec, r)
		if rec.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, rec.Code)
		}
	}
}

// TestT7_AccountsStartWithACode: an administrator adds somebody, the code is shown once and opens the account once.
func TestT7_AccountsStartWithACode(t *testing.T) {
	o := open(t)
	admin := o.Person(t, "group_admin")
	form := url.Values{"login": {"neu"}, "name": {"Neue Person"}, "role": {"member"}}
	a := o.send(t, admin, "/accounts", form).want(t, 201, "Neue Person", "nur jetzt gezeigt")
	_, ticket, _ := strings.Cut(a.body, "ticket")
	code := regexp.MustCompile(`[A-Z0-9]{5}(?:-[A-Z0-9]{5}){3}`).FindString(ticket)
	o.send(t, admin, "/accounts", form).want(t, 409, "gibt es schon")
	password := "Apfelbaum am Gartenzaun"
	act := url.Values{"login": {"neu"}, "code": {strings.ToLower(code)}, "password": {password}, "again": {password + "x"}}
	o.send(t, nil, "/activate", act).want(t, 422, "verschieden").lacks(t, password)
	act.Set("again", password)
	o.send(t, nil, "/activate", url.Values{"login": {"neu"}, "code": {"AAAAA-AAAAA-AAAAA-AAAAA"}, "password": {password}, "again": {password}}).want(t, 401, "passen nicht zusammen")
	o.send(t, nil, "/activate", act).want(t, 303)
	o.send(t, nil, "/activate", act).want(t, 401)
	o.send(t, nil, "/sign-in", url.Values{"login": {"neu"}, "password": {"falsch falsch falsch"}, "to": {"/patients"}}).want(t, 401, "stimmt nicht").lacks(t, "falsch falsch")
	in := o.send(t, nil, "/sign-in", url.Values{"login": {"neu"}, "password": {password}, "to": {"//evil.test/"}}).want(t, 303)
	c := in.Cookies()
	if len(c) != 1 || !c[0].HttpOnly || !c[0].Secure || in.Header.Get("Location") != "/" {
		t.Errorf("cookie %v, location %q", c, in.Header.Get("Location"))
	}
	o.send(t, nil, "/", nil, "Cookie", c[0].Name+"="+c[0].Value).want(t, 200, "Neue Person")
	o.send(t, nil, "/sign-out", url.Values{}, "Cookie", c[0].Name+"="+c[0].Value).want(t, 303)
	o.send(t, nil, "/", nil, "Cookie", c[0].Name+"="+c[0].Value).want(t, 401)
}

// TestA3_TextOutlivesTheSession: a note that is sent after the session ended comes back after signing in again.
func TestA3_TextOutlivesTheSession(t *testing.T) {
	o := open(t)
	w := o.ward(t)
	phc, err := authn.Hash(t.Context(), "Apfelbaum am Gartenzaun")
	if err != nil {
		t.Fatal(err)
	}
	o.Exec(t, `UPDATE sec.credential SET pw_hash = $2 WHERE account_id = $1`, w.anna.Account.ID, phc)
	o.Advance(31 * time.Minute)
	path := "/sessions/" + w.session.ID.String()
	a := o.send(t, w.anna, path+"/note", url.Values{"body": {"Zeile eins\nZeile zwei"}}).want(t, 401, "wegen Inaktivität", "nicht verloren", "Zeile eins\nZeile zwei", `name="to" value="`+path+`"`)
	a.lacks(t, w.canary)
	o.Advance(-31 * time.Minute)
	o.send(t, nil, "/sign-in", url.Values{"login": {w.anna.Account.Login}, "password": {"Apfelbaum am Gartenzaun"}, "to": {path}, "draft": {"Zeile eins\nZeile zwei"}}).
		want(t, 200, "Ihr Text von vor der Abmeldung", "Zeile eins\nZeile zwei", w.canary)
	if n := o.Count(t, `SELECT count(*) FROM pm.note_version WHERE session_id = $1`, w.session.ID); n != 1 {
		t.Errorf("%d versions, nobody has saved yet", n)
	}
}

// TestForgedFormsAreRefused: another site cannot make people's browsers post here.
func TestForgedFormsAreRefused(t *testing.T) {
	o := open(t)
	w := o.ward(t)
	o.send(t, w.anna, "/patients", url.Values{"family_name": {"Untergeschoben"}}, "Sec-Fetch-Site", "cross-site").want(t, 403)
	if n := o.Count(t, `SELECT count(*) FROM pm.patient WHERE family_name = 'Untergeschoben'`); n != 0 {
		t.Error("the forged patient is there")
	}
}

// TestT10_NavigationFollowsModules: a module that somebody does not have is not offered, and refused.
func TestT10_NavigationFollowsModules(t *testing.T) {
	o := open(t)
	w := o.ward(t)
	o.send(t, w.anna, "/", nil).want(t, 200, `href="/invoices"`, `href="/sessions"`).lacks(t, `href="/accounts"`)
	o.Exec(t, `DELETE FROM sec.account_module WHERE account_id = $1 AND module = 'accounting'`, w.anna.Account.ID)
	o.send(t, w.anna, "/", nil).want(t, 200).lacks(t, `href="/invoices"`)
	o.send(t, w.anna, "/invoices", nil).want(t, 403)
	o.send(t, w.anna, "/patients/"+w.patient.ID.String(), nil).want(t, 200).lacks(t, "/invoices/")
	o.send(t, w.secretariat, "/", nil).want(t, 200, `href="/calendar"`).lacks(t, `href="/sessions"`)
}

func TestDocumentsGoUpAndComeDown(t *testing.T) {
	o := open(t)
	w := o.ward(t)
	upload := func(who *authz.Caller, name string, content []byte) answer {
		var b bytes.Buffer
		m := multipart.NewWriter(&b)
		_ = m.WriteField("category", "Befund")
		part, err := m.CreateFormFile("file", name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write(content)
		_ = m.Close()
		r := httptest.NewRequestWithContext(t.Context(), "POST", "https://praxis.test/patients/"+w.patient.ID.String()+"/documents", &b)
		r.Header.Set("Content-Type", m.FormDataContentType())
		r.AddCookie(&http.Cookie{Name: gate.CookieName, Value: who.Token.Reveal()})
		rec := httptest.NewRecorder()
		o.handler.ServeHTTP(rec, r)
		return answer{rec.Result(), rec.Body.String()}
	}
	content := bytes.Repeat([]byte("Röntgen\x00\xff"), 100_000)
	upload(w.anna, "Röntgen.bin", content).want(t, 303)
	upload(w.secretariat, "Röntgen.bin", content).want(t, 403)
	upload(w.anna, "gross.bin", make([]byte, 33<<20)).want(t, 413, "höchstens 32 MB")
	page := o.send(t, w.anna, "/patients/"+w.patient.ID.String(), nil).want(t, 200, "Röntgen.bin", "Befund")
	link := regexp.MustCompile(`/documents/[0-9a-f-]{36}`).FindString(page.body)
	a := o.send(t, w.anna, link, nil).want(t, 200)
	if a.body != string(content) || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("%d bytes came back, %v", len(a.body), a.Header)
	}
}

func TestEnglishOnRequest(t *testing.T) {
	o := open(t)
	w := o.ward(t)
	a := o.send(t, w.anna, "/language", url.Values{"language": {"en"}, "to": {"/patients"}}).want(t, 303)
	c := a.Cookies()[0]
	o.send(t, w.anna, "/invoices/"+w.invoice.ID.String(), nil, "Cookie", gate.CookieName+"="+w.anna.Token.Reveal()+"; "+c.Name+"="+c.Value).want(t, 200, "€1,234.56", "3 Mar 2026", "Total")
	o.send(t, w.anna, "/invoices/"+w.invoice.ID.String(), nil).want(t, 200, "1.234,56\u00a0€", "03.03.2026", "Summe")
}
