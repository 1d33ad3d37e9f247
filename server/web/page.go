package web

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"practicectl/server/authz"
	"practicectl/server/gate"
	"practicectl/server/problem"
)

// page is one request being answered.
type page struct {
	*Web
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context
	who   *authz.Caller // nil when nobody is signed in
	lang  *language
	route Route
	form  form
}

// view is what templates see.
type view struct {
	Title    string // already in the reader's language
	Section  string // entry of the navigation that is lit
	Lang     string
	Practice string
	Version  string
	Path     string // where the reader is, for coming back
	Who      *authz.Caller
	Nav      []navGroup
	Idle     int    // seconds until sign-out without a deed
	Done     string // what just succeeded, catalog key
	Alert    string // what went wrong, catalog key
	Errors   map[string]string
	D        any
}

// Can is asked by templates before they offer something.
func (v view) Can(feature, action string) bool {
	return v.Who != nil && v.Who.Can(feature, authz.Action(action))
}

// screen is what a handler wants to be shown.
type screen struct {
	name    string // template
	title   string // catalog key, or text when it is a name
	section string
	alert   string
	errors  map[string]string
	data    any
	status  int // 0: 200
}

type navGroup struct {
	Key   string
	Items []navItem
}

type navItem struct{ Key, Path string }

// nav lists the screens of the modules that the caller may enter.
func nav(who *authz.Caller) []navGroup {
	if who == nil {
		return nil
	}
	var out []navGroup
	for _, g := range []struct {
		module string
		items  []navItem
		needs  []string
	}{
		{"frontdesk", []navItem{{"patients", "/patients"}, {"calendar", "/calendar"}}, []string{authz.Patients, authz.Appointments}},
		{"clinical", []navItem{{"sessions", "/sessions"}}, []string{authz.Sessions}},
		{"accounting", []navItem{{"invoices", "/invoices"}}, []string{authz.Invoices}},
		{"admin", []navItem{{"accounts", "/accounts"}}, []string{authz.Accounts}},
	} {
		var items []navItem
		for i, item := range g.items {
			// Patients belong to every module: whoever works here without the front desk still has to find them.
			if (who.HasModule(g.module) || item.Key == "patients") && who.Can(g.needs[i], authz.View) {
				items = append(items, item)
			}
		}
		if items != nil {
			out = append(out, navGroup{g.module, items})
		}
	}
	return out
}

func (p *page) show(s screen) error {
	v := view{
		Title: p.lang.t(s.title), Section: s.section, Lang: p.lang.name, Practice: p.opts.Practice, Version: p.opts.Version,
		Path: p.r.URL.RequestURI(), Who: p.who, Nav: nav(p.who), Alert: s.alert, Errors: s.errors, D: s.data,
	}
	if done := p.r.URL.Query().Get("done"); p.lang.has("done." + done) {
		v.Done = "done." + done
	}
	if p.r.Method != http.MethodGet {
		v.Path = "/"
	}
	if p.who != nil {
		v.Idle = int(p.who.Idle / time.Second)
	}
	name := "layout"
	if p.partial() {
		name = "partial"
	}
	return p.write(s, name, v)
}

// partial tells whether the script asks for a part of the page only.
func (p *page) partial() bool { return p.r.Header.Get("HX-Request-Type") == "partial" }

func (p *page) write(s screen, name string, v view) error {
	t := p.lang.pages[s.name]
	if t.Lookup(name) == nil {
		name = "layout"
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, v); err != nil {
		return err
	}
	h := p.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", p.lang.name)
	h.Set("Vary", "HX-Request-Type, Cookie")
	if s.status != 0 {
		p.w.WriteHeader(s.status)
	}
	_, err := b.WriteTo(p.w)
	if err != nil {
		p.opts.Log.Info("page was not sent whole", "request", gate.RequestID(p.ctx).String())
	}
	return nil
}

// see sends the browser to another page after a change; done names what succeeded, "" nothing.
func (p *page) see(path, done string) error {
	if done != "" {
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		path += sep + "done=" + done
	}
	http.Redirect(p.w, p.r, path, http.StatusSeeOther)
	return nil
}

// id reads the path's {id}. Something that is no id is as little there as an unknown one.
func (p *page) id() (uuid.UUID, error) {
	id, err := uuid.Parse(p.r.PathValue("id"))
	if err != nil {
		return id, problem.New(problem.NotFound, nil)
	}
	return id, nil
}

// fail shows a problem as a page that says what to do next; everything else is an internal error whose cause goes to
// the log.
func (p *page) fail(err error) {
	request := gate.RequestID(p.ctx).String()
	prob := problem.As(err)
	if prob == nil {
		if errors.Is(err, context.Canceled) {
			return
		}
		p.opts.Log.Error("screen failed", "request", request, "route", p.r.Pattern, "error", err.Error())
		prob = problem.New("internal", nil)
	} else if prob.Err != nil {
		p.opts.Log.Info("screen refused", "request", request, "route", p.r.Pattern, "code", string(prob.Code), "cause", prob.Err.Error())
	}
	if prob.RetryAfter > 0 {
		p.w.Header().Set("Retry-After", strconv.Itoa(int(prob.RetryAfter/time.Second)))
	}
	if prob.Code == problem.SignIn {
		p.who = nil
		err = p.askToSignIn(prob.Reason)
	} else {
		err = p.show(screen{name: "problem", title: "problem." + string(prob.Code), status: prob.Code.Status(), data: map[string]any{"Code": string(prob.Code), "Request": request}})
	}
	if err != nil {
		p.opts.Log.Error("problem page failed", "request", request, "error", err.Error())
		http.Error(p.w, "internal error", http.StatusInternalServerError)
	}
}

func nowhere(p *page) error { return problem.New(problem.NotFound, nil) }

// invalid takes the field messages out of a problem of code Invalid, for showing the form again.
func invalid(err error) (map[string]string, bool) {
	if !problem.Is(err, problem.Invalid) {
		return nil, false
	}
	fields := problem.As(err).Fields
	if fields == nil {
		fields = map[string]string{}
	}
	return fields, true
}
