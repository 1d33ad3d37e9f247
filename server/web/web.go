// Package web is the screens that people see in the browser: HTML rendered on the server over the domain services, one
// style sheet, and two small scripts without which everything still works.
//
// Every address is one row of [Web.Routes]. What a person may not do is not offered, and is refused by the services all
// the same. Texts are in i18n/, one catalog a language; nothing is loaded from anywhere else.
package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"practicectl/server"
	"practicectl/server/gate"
)

// Options says whose screens these are.
type Options struct {
	Practice string           // name shown on every page
	Language string           // "de" or "en", unless a person chose another
	Timezone string           // IANA name
	Currency string           // ISO 4217, of new invoices
	Version  string           // shown below
	Now      func() time.Time // nil: time.Now
	Log      *slog.Logger
}

// Web serves the screens.
type Web struct {
	svc       *server.Services
	gate      *gate.Gate
	opts      Options
	zone      *time.Location
	languages map[string]*language
	assets    map[string]asset
}

// New returns the screens over services. It fails when a template or a catalog is broken, or the time zone is unknown.
func New(svc *server.Services, g *gate.Gate, o Options) (*Web, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Language == "" {
		o.Language = "de"
	}
	if o.Currency == "" {
		o.Currency = "EUR"
	}
	zone, err := time.LoadLocation(o.Timezone)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w", o.Timezone, err)
	}
	w := &Web{svc: svc, gate: g, opts: o, zone: zone}
	if w.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if w.languages, err = w.loadLanguages(); err != nil {
		return nil, err
	}
	if w.languages[o.Language] == nil {
		return nil, fmt.Errorf("there is no catalog for the language %q", o.Language)
	}
	return w, nil
}

// Handler serves all screens. Other addresses are a friendly 404, other methods 405.
func (w *Web) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, route := range w.Routes() {
		mux.Handle(route.Method+" "+route.Path, w.serve(route))
	}
	mux.Handle("GET /static/{name}", http.HandlerFunc(w.static))
	mux.Handle("GET /", w.serve(Route{Public: true, handler: nowhere}))
	return mux
}

// policy lets pages load from this server and from nowhere else, and run nothing that stands in the page itself.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (w *Web) serve(route Route) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		p := &page{Web: w, w: rw, r: r, ctx: r.Context(), lang: w.languages[w.languageOf(r)], route: route}
		var err error
		p.who, err = w.gate.Caller(r)
		if route.Public {
			err = nil // known people are greeted on public pages too
		}
		if err == nil && r.Method == http.MethodPost && !route.Upload {
			err = p.readForm()
		}
		if err == nil {
			err = route.handler(p)
		}
		if err != nil {
			p.fail(err)
		}
	})
}

// languageOf is the language that a person chose with the switch at the bottom of each page, or the practice's.
func (w *Web) languageOf(r *http.Request) string {
	if c, err := r.Cookie(languageCookie); err == nil && w.languages[c.Value] != nil {
		return c.Value
	}
	return w.opts.Language
}
