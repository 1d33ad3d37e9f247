package browser

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestT1_ADayAtThePractice: sign in, find a patient by typing, write a note, sign it, book an appointment, and be told
// why a second one at the same time is refused.
func TestT1_ADayAtThePractice(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.signIn(t, "a.moser")
	w.says("Guten Tag, Anna Moser")

	// Find: the list follows the typing, without a button.
	w.goTo("/patients")
	w.fill("#q", strings.ToLower(h.patient.FamilyName))
	w.until(`document.querySelectorAll("#found tbody tr").length < 8 && document.querySelector("#found tbody").innerText.includes("` + h.patient.GivenName + `")`)
	w.until(`location.search.includes("q=" + encodeURIComponent("` + strings.ToLower(h.patient.FamilyName) + `"))`) // coming back shows the same list
	w.press(`#found a[href="/patients/` + h.patient.ID.String() + `"]`)
	w.says(h.patient.FamilyName+", "+h.patient.GivenName, "Stammdaten")

	// Write.
	w.press(`a[href^="/sessions/new"]`)
	w.fill("#f-price", "95,50")
	w.press("form[action='/sessions'] button.primary")
	text := "Fühlt sich heute besser.\nPlan: Spaziergänge <b>täglich</b>."
	w.fill("#body", text)
	w.press("button[value=save]")
	w.says("Der Entwurf ist gespeichert.", "Entwurf")
	if got := ask(w, chromedp.Evaluate[string](`document.querySelector("#body").value`)); got != text {
		t.Errorf("the note came back as %q", got)
	}

	// Sign: asked once more, then final.
	w.fill("#body", text+" Schlaf gut.")
	w.do(chromedp.Evaluate[chromedp.Void](`window.confirm = () => true`))
	w.press("button[value=sign]")
	w.says("Das Protokoll ist unterschrieben.", "Plan: Spaziergänge &lt;b&gt;täglich&lt;/b&gt;. Schlaf gut.")
	if ask(w, chromedp.Evaluate[bool](`document.querySelector("#body") !== null`)) {
		t.Error("a signed note can still be edited")
	}
	w.press(`a[href$="/history"]`)
	if n := ask(w, chromedp.Evaluate[int](`document.querySelectorAll("article").length`)); n != 2 {
		t.Errorf("%d versions in the history, want 2", n)
	}

	// Book.
	day := h.day.AddDate(0, 0, 7).Format(time.DateOnly)
	book := func(at string) {
		t.Helper()
		w.goTo("/appointments/new?day=" + day + "&time=" + at)
		w.fill("#patient-q", h.patient.FamilyName)
		w.until(`document.querySelector("#picked input[type=radio]") !== null`)
		w.click("#picked input[type=radio]")
		w.press("form[action='/appointments'] .actions button.primary")
	}
	book("10:00")
	w.says("Der Termin ist eingetragen.", h.patient.FamilyName)
	book("10:30")
	w.says("Diese Zeit ist schon vergeben.", "Anna Moser hat von 10:00 bis 10:50 schon einen Termin.")
	w.picture("double-booked")
	w.accessible("double-booked")
	w.set("#f-time", "11:00")
	w.press("form[action='/appointments'] .actions button.primary")
	w.says("Der Termin ist eingetragen.")
	if n := h.Count(t, `SELECT count(*) FROM pm.appointment WHERE patient_id = $1 AND lower(during) > $2`, h.patient.ID, h.day.AddDate(0, 0, 6)); n != 2 {
		t.Errorf("%d appointments were booked, want 2", n)
	}
	w.calm()
}

// TestP7_SecretariatSeesNoNotes: the front desk works with the same patient and never meets a word of a note.
func TestP7_SecretariatSeesNoNotes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.signIn(t, "empfang")
	word := strings.SplitN(h.note, ".", 3)[1]
	for _, path := range []string{"/", "/patients", "/patients/" + h.patient.ID.String(), "/sessions", "/sessions/" + h.session.ID.String(), "/sessions/" + h.session.ID.String() + "/history",
		"/appointments/" + h.appointment.ID.String(), "/invoices/" + h.invoice.ID.String()} {
		w.goTo(path)
		w.lacks(word, "Protokoll fehlt", `id="body"`)
	}
	w.goTo("/sessions/" + h.session.ID.String() + "/history")
	w.says("Dazu fehlt Ihnen das Recht")

	// P8: but may change what a session costs.
	w.goTo("/sessions/" + h.session.ID.String())
	w.fill("#f-price", "120,00")
	w.press("#meta ~ form button")
	w.says("Die Sitzung ist gespeichert.")
	if n := h.Count(t, `SELECT price_minor FROM pm.session WHERE id = $1`, h.session.ID); n != 12000 {
		t.Errorf("the price is %d", n)
	}
	w.calm()
}

// TestP10_TwoDevicesEditOneRecord: the second to save sees both versions and decides.
func TestP10_TwoDevicesEditOneRecord(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	desk, anna := h.signIn(t, "empfang"), h.signIn(t, "a.moser")
	edit := "/patients/" + h.patient.ID.String() + "/edit"
	desk.goTo(edit)
	anna.goTo(edit)
	desk.fill("#f-phone", "01 111")
	desk.press("form.card .actions button.primary")
	desk.says("Die Stammdaten sind gespeichert.")
	anna.fill("#f-phone", "02 222")
	anna.press("form.card .actions button.primary")
	anna.says("Jemand anderes hat diesen Datensatz gerade geändert.", "01 111", "02 222")
	anna.picture("conflict")
	anna.accessible("conflict")
	if n := h.Count(t, `SELECT count(*) FROM pm.patient WHERE id = $1 AND phone = '01 111'`, h.patient.ID); n != 1 {
		t.Error("the first change was lost")
	}
	anna.press("form.card .actions button.primary")
	anna.says("Die Stammdaten sind gespeichert.", "02 222")
}

// TestP14_SharingIsInTheMenuOfARow: by right click, by keyboard, and as a button; and it names whom it will be shared with.
func TestP14_SharingIsInTheMenuOfARow(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.signIn(t, "a.moser")
	id := h.patient.ID.String()
	w.goTo("/patients")
	if !ask(w, chromedp.Evaluate[bool](`document.querySelector('tr[data-row="`+id+`"] a[href$="/share"]') !== null`)) {
		t.Error("there is no visible button")
	}
	at := ask(w, chromedp.Evaluate[[]float64](`(r => [r.left + 60, r.top + 10])(document.querySelector('tr[data-row="`+id+`"]').getBoundingClientRect())`))
	w.do(chromedp.MouseClickXY(at[0], at[1], chromedp.ButtonRight), chromedp.WaitVisible(chromedp.CSS("#row-menu")))
	w.picture("row-menu")
	w.do(chromedp.KeyEvent(kb.Escape), chromedp.WaitNotVisible(chromedp.CSS("#row-menu")))

	// Shift+F10 on the focused row: the browser turns it into the same event.
	w.do(chromedp.Focus(chromedp.CSS(`a.cover[href="/patients/`+id+`"]`)),
		chromedp.Evaluate[chromedp.Void](`document.activeElement.dispatchEvent(new MouseEvent("contextmenu", {bubbles: true, cancelable: true}))`), chromedp.WaitVisible(chromedp.CSS("#row-menu")))
	w.press(`#row-menu a[href$="/share"]`)
	w.says("Datenfreigabe")
	w.click(`input[name=account][value="` + h.staff[1].Account.ID.String() + `"]`)
	w.press("form.card button.primary")
	w.says("Wirklich freigeben?", "Lukas Steininger", "Eine Freigabe lässt sich nicht zurücknehmen.")
	w.picture("share-confirm")
	w.accessible("share-confirm")
	w.press("form.card button.primary")
	w.says("Der Datensatz ist freigegeben.", "Lukas Steininger")
	w.calm()
}

// TestA4_WarnsBeforeSignOut: a minute before the end the page asks, and a begun note is saved before it leaves.
func TestA4_WarnsBeforeSignOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.signIn(t, "a.moser")
	w.goTo("/sessions/" + h.session.ID.String())
	w.fill("#body", "Noch nicht gespeichert")
	// The page's clock runs ahead by what is left until the warning.
	w.do(chromedp.Evaluate[chromedp.Void](`{const now = Date.now; let ahead = (document.body.dataset.idle - 50) * 1000; Date.now = () => now() + ahead; window.hurry = () => ahead += 60000}`))
	w.until(`document.getElementById("idle").open`)
	w.says("Sind Sie noch da?")
	w.accessible("idle")
	w.picture("idle")
	w.click("#idle-stay")
	w.until(`!document.getElementById("idle").open && performance.getEntriesByType("resource").some(e => e.name.endsWith("/stay"))`)
	w.do(chromedp.Evaluate[chromedp.Void](`for (let i = 0; i < 31; i++) window.hurry()`))
	w.until(`location.pathname === "/sign-in"`)
	w.says("Sie wurden wegen Inaktivität abgemeldet.")
	if n := h.Count(t, `SELECT count(*) FROM pm.note_version WHERE session_id = $1 AND body = 'Noch nicht gespeichert'`, h.session.ID); n != 1 {
		t.Errorf("the begun text was saved %d times", n)
	}
	if n := h.Count(t, `SELECT count(*) FROM sec.session s WHERE s.account_id = $1 AND s.revoked_at IS NOT NULL`, h.anna.Account.ID); n < 1 {
		t.Error("the session is still open")
	}
}
