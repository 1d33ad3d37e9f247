package web

import (
	"net/http"
	"strings"

	"practicectl/internal/secret"
	"practicectl/server/gate"
	"practicectl/server/problem"
)

// door is what the sign-in page holds.
type door struct {
	Login, To, Reason string
	Draft             string // a text that was being written when the session ended
	Wait              int    // seconds, after too many failed attempts
}

// local is path when it is one of this server, and "/" when somebody tries to send people elsewhere.
func local(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}

func (p *page) door(d door, alert string, status int) error {
	return p.show(screen{name: "signin", title: "signin.title", alert: alert, status: status, data: d})
}

// askToSignIn answers a request that needs somebody: with the sign-in page, and with the text they were about to save.
func (p *page) askToSignIn(reason string) error {
	d := door{To: local(p.r.URL.RequestURI()), Reason: reason}
	if p.r.Method != http.MethodGet {
		d.To = "/"
		if base, ok := strings.CutSuffix(p.r.URL.Path, "/note"); ok && p.readForm() == nil {
			d.To, d.Draft = base, p.form.Get("body")
		}
	}
	if p.partial() {
		p.w.Header().Set("HX-Refresh", "true") // a sign-in page inside of a table helps nobody
	}
	return p.door(d, reasonText(p.lang, reason), http.StatusUnauthorized)
}

func reasonText(l *language, reason string) string {
	if key := "reason." + reason; reason != "unknown" && l.has(key) {
		return key
	}
	return ""
}

func signInForm(p *page) error {
	if p.who != nil {
		return p.see("/", "")
	}
	q := p.query()
	return p.door(door{To: local(q.Get("to")), Reason: q.Get("reason"), Login: q.text("login")}, reasonText(p.lang, q.Get("reason")), 0)
}

func signIn(p *page) error {
	f := p.form
	d := door{Login: f.text("login"), To: local(f.Get("to")), Draft: f.Get("draft")}
	token, err := p.gate.SignIn(p.w, p.r, d.Login, secret.New(p.r.PostForm.Get("password")), "")
	switch {
	case problem.Is(err, problem.Refused):
		return p.door(d, "signin.refused", http.StatusUnauthorized)
	case problem.Is(err, problem.Throttled):
		d.Wait = int(problem.As(err).RetryAfter.Seconds())
		return p.door(d, "signin.throttled", http.StatusTooManyRequests)
	case err != nil:
		return err
	}
	if d.Draft == "" {
		return p.see(d.To, "")
	}
	if p.who, err = p.svc.Authn.Enter(p.ctx, token, true, gate.Where(p.r, "")); err != nil {
		return err
	}
	return p.rescue(d.To, d.Draft)
}

func signOut(p *page) error {
	if err := p.gate.SignOut(p.w, p.r); err != nil {
		return err
	}
	reason := p.form.text("reason")
	if reason != "idle" {
		reason = "bye"
	}
	return p.see("/sign-in?reason="+reason, "")
}

// stay is how a page that is being worked on keeps the session from ending idle.
func stay(p *page) error {
	p.w.WriteHeader(http.StatusNoContent)
	return nil
}

func activateForm(p *page) error {
	return p.show(screen{name: "activate", title: "activate.title", data: door{Login: p.query().text("login")}})
}

func activate(p *page) error {
	f := p.form
	password := p.r.PostForm.Get("password")
	errs, alert, status := map[string]string{}, "", http.StatusUnprocessableEntity
	var err error
	if password != p.r.PostForm.Get("again") {
		errs["again"] = "not_the_same"
	} else {
		err = p.svc.Authn.Activate(p.ctx, f.text("login"), f.text("code"), secret.New(password), gate.Where(p.r, ""))
	}
	if fields, ok := invalid(err); ok {
		errs, err = fields, nil
	}
	switch {
	case problem.Is(err, problem.Refused):
		alert, status = "activate.refused", http.StatusUnauthorized
	case problem.Is(err, problem.Throttled):
		alert, status = "activate.throttled", http.StatusTooManyRequests
	case err != nil:
		return err
	case len(errs) == 0:
		return p.see("/sign-in?reason=activated", "")
	}
	return p.show(screen{name: "activate", title: "activate.title", alert: alert, errors: errs, status: status, data: door{Login: f.text("login")}})
}

func chooseLanguage(p *page) error {
	if l := p.form.text("language"); p.languages[l] != nil {
		http.SetCookie(p.w, &http.Cookie{Name: languageCookie, Value: l, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: 365 * 24 * 3600})
	}
	return p.see(local(p.form.Get("to")), "")
}

func passwordForm(p *page) error { return p.show(screen{name: "password", title: "password.title"}) }

func changePassword(p *page) error {
	errs := map[string]string{}
	v := p.r.PostForm
	var err error
	if v.Get("password") != v.Get("again") {
		errs["again"] = "not_the_same"
	} else {
		err = p.svc.Authn.ChangePassword(p.ctx, p.who, secret.New(v.Get("old")), secret.New(v.Get("password")))
	}
	if fields, ok := invalid(err); ok {
		errs, err = fields, nil
	}
	switch {
	case problem.Is(err, problem.Refused):
		errs["old"] = "wrong_password"
	case err != nil:
		return err
	case len(errs) == 0:
		return p.see("/", "password")
	}
	return p.show(screen{name: "password", title: "password.title", errors: errs, status: http.StatusUnprocessableEntity})
}
