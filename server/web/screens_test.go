package web_test

import (
	"net/http"
	"strings"
	"testing"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/documents"
)

func (o *office) document(t *testing.T, w ward) api.Document {
	t.Helper()
	d, err := o.Documents.Store(t.Context(), w.anna, documents.NewDocument{PatientID: w.patient.ID, Name: "Befund <1>.txt", Category: "Befund", MediaType: "text/html"}, strings.NewReader("<script>alert(1)</script>"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// paths is every page of a ward, with the status that a role gets.
func (w ward) paths() map[string]map[string]int {
	p, s, a, i, d := "/patients/"+w.patient.ID.String(), "/sessions/"+w.session.ID.String(), "/appointments/"+w.appointment.ID.String(), "/invoices/"+w.invoice.ID.String(), "/documents/"+w.document.ID.String()
	all := func(owner, other, secretariat, admin int) map[string]int {
		return map[string]int{"owner": owner, "other": other, "secretariat": secretariat, "admin": admin}
	}
	return map[string]map[string]int{
		"/": all(200, 200, 200, 200), "/patients": all(200, 200, 200, 200), "/patients?q=holzl": all(200, 200, 200, 200), "/patients/new": all(200, 200, 200, 200),
		p: all(200, 404, 200, 200), p + "/edit": all(200, 404, 200, 200), p + "/share": all(200, 404, 403, 200), d: all(200, 404, 403, 200),
		"/calendar": all(200, 200, 200, 200), "/calendar?view=week": all(200, 200, 200, 200), "/calendar?view=day&by=rooms": all(200, 200, 200, 200),
		"/calendar?view=day&day=2026-02-30": all(200, 200, 200, 200),
		"/appointments/new":                 all(200, 200, 200, 200), "/appointments/new?patient_q=h": all(200, 200, 200, 200), a: all(200, 404, 200, 200),
		"/sessions": all(200, 200, 200, 200), "/sessions?open=1&month=2026-03": all(200, 200, 200, 200), s: all(200, 404, 200, 200), s + "/history": all(200, 404, 403, 200),
		"/sessions/" + w.signed.ID.String():              all(200, 404, 200, 200),
		"/sessions/new?patient=" + w.patient.ID.String(): all(200, 404, 403, 200), "/sessions/new?appointment=" + w.appointment.ID.String(): all(200, 404, 403, 200),
		"/invoices": all(200, 200, 200, 200), "/invoices?status=open": all(200, 200, 200, 200), i: all(200, 404, 200, 200), "/invoices/new?patient=" + w.patient.ID.String(): all(200, 404, 200, 200),
		"/accounts": all(403, 403, 403, 200), "/accounts/new": all(403, 403, 403, 200), "/password": all(200, 200, 200, 200),
		"/patients/no-id": all(404, 404, 404, 404), "/elsewhere": all(404, 404, 404, 404),
	}
}

// TestP4_P7_EveryPageRendersForEveryRole: rights decide the status, and no note's text reaches somebody without the right.
func TestP4_P7_EveryPageRendersForEveryRole(t *testing.T) {
	o := open(t)
	w := o.ward(t)
	roles := map[string]*authz.Caller{"owner": w.anna, "other": w.member, "secretariat": w.secretariat, "admin": w.admin}
	for _, lang := range []string{"de", "en"} {
		for path, want := range w.paths() {
			for role, who := range roles {
				a := o.send(t, who, path, nil, "Cookie", "__Host-practice="+who.Token.Reveal()+"; __Host-practice-language="+lang)
				if a.StatusCode != want[role] {
					t.Errorf("%s %s as %s: %d, want %d: %s", lang, path, role, a.StatusCode, want[role], textOf(a.body))
				}
				if (role == "secretariat" || role == "other") && strings.Contains(a.body, w.canary) {
					t.Errorf("%s as %s leaks the note", path, role)
				}
				if a.StatusCode != 200 || !strings.HasPrefix(path, "/documents/") {
					a.lacks(t, "%!", "MISSING", "<script>alert")
					if !strings.Contains(a.body, `<html lang="`+lang+`"`) {
						t.Errorf("%s is not in %s", path, lang)
					}
				}
			}
			if a := o.send(t, nil, path, nil); a.StatusCode != http.StatusUnauthorized && want["owner"] != 404 {
				t.Errorf("%s for nobody: %d", path, a.StatusCode)
			}
		}
	}
	if strings.Contains(o.log.String(), "Hölzl") || strings.Contains(o.log.String(), w.canary) {
		t.Error("the log holds patient data")
	}
}
