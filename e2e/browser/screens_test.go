package browser

import (
	"fmt"
	"testing"
)

// look is one page for one kind of person.
type look struct{ name, path string }

func (h *house) screens() map[string][]look {
	p, s := h.patient.ID.String(), h.session.ID.String()
	day := h.day.Format("2006-01-02")
	return map[string][]look{
		"a.moser": {{"start", "/"}, {"patients", "/patients"}, {"patient", "/patients/" + p}, {"patient-edit", "/patients/" + p + "/edit"}, {"share", "/patients/" + p + "/share"},
			{"week", "/calendar?view=week&day=" + day}, {"booking-new", "/appointments/new?day=" + day + "&time=10:00&patient_q=e"}, {"booking", "/appointments/" + h.appointment.ID.String()},
			{"sessions", "/sessions"}, {"session-new", "/sessions/new?patient=" + p}, {"session", "/sessions/" + s}, {"session-signed", "/sessions/" + h.signed.ID.String()}, {"history", "/sessions/" + s + "/history"},
			{"invoices", "/invoices"}, {"invoice", "/invoices/" + h.invoice.ID.String()}, {"invoice-new", "/invoices/new?patient=" + p}, {"password", "/password"}, {"not-found", "/nowhere"}},
		"empfang": {{"desk-start", "/"}, {"desk-day", "/calendar?view=day&day=" + day}, {"desk-rooms", "/calendar?view=day&by=rooms&day=" + day}, {"desk-patient", "/patients/" + p}, {"desk-session", "/sessions/" + s}, {"forbidden", "/accounts"}},
		"leitung": {{"accounts", "/accounts"}, {"account-new", "/accounts/new"}, {"admin-start", "/"}},
	}
}

// TestT1_EveryScreenIsAccessibleAndFits looks at each screen in three sizes, light and dark.
func TestT1_EveryScreenIsAccessibleAndFits(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, login := range []string{"a.moser", "empfang", "leitung"} {
		w := h.signIn(t, login)
		h.look(w, h.screens()[login])
		w.calm()
	}
	w := h.open(t)
	h.look(w, []look{{"sign-in", "/sign-in"}, {"sign-in-idle", "/sign-in?reason=idle"}, {"activate", "/activate"}})
	w.calm()
}

func (h *house) look(w *window, screens []look) {
	w.t.Helper()
	for i, s := range screens {
		w.goTo(s.path)
		for _, size := range [][2]int64{{1366, 768}, {1024, 768}, {768, 1024}, {390, 844}} {
			w.size(size[0], size[1])
			w.fits(fmt.Sprintf("%s at %dx%d", s.name, size[0], size[1]))
			if size[0] != 1024 {
				w.picture(fmt.Sprintf("%s-%d", s.name, size[0]))
			}
		}
		if i == 0 { // the frame of all screens looks different on a phone
			w.accessible(s.name + " on a phone")
		}
		w.size(1366, 768)
		w.accessible(s.name)
		w.dark(true)
		w.examine(s.name+" in the dark", `["color-contrast"]`)
		w.picture(s.name + "-dark")
		w.dark(false)
	}
}
