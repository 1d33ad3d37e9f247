// Package ready says whether the server may let users in: /livez while it runs at all, /readyz while every check holds.
package ready

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"practicectl/internal/uerr"
	"practicectl/server/store"
)

// Check is one thing that must hold.
type Check struct {
	Name string
	Run  func(ctx context.Context) error
}

// Result is the outcome of a check. Why says what could not be done; the cause, which may name folders and accounts of
// the machine, is in the server's log only, because everybody on the network can ask.
type Result struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Why  string `json:"why,omitempty"`
}

// Probe runs the checks over a store.
type Probe struct {
	list  []Check
	store *store.Store
	log   *slog.Logger
}

// New returns the server's own probe.
func New(st *store.Store, log *slog.Logger) *Probe {
	return &Probe{list: checks(st), store: st, log: log}
}

// Run runs every check, each at most 5 s.
func (p *Probe) Run(ctx context.Context) (results []Result, ok bool) {
	ok = true
	for _, c := range p.list {
		r := Result{Name: c.Name, OK: true}
		one, cancel := context.WithTimeout(ctx, 5*time.Second)
		if err := c.Run(one); err != nil {
			r.OK, r.Why, ok = false, why(err), false
			p.log.Warn("not ready", "check", c.Name, "error", err.Error())
		}
		cancel()
		results = append(results, r)
	}
	return results, ok
}

func why(err error) string {
	var e *uerr.Error
	if errors.As(err, &e) {
		return "cannot " + strings.TrimSpace(e.Op)
	}
	return "failed"
}

// Register adds the probes to a mux.
func (p *Probe) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, map[string]any{"ok": true}) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		results, ok := p.Run(r.Context())
		status := http.StatusOK
		if !ok {
			status = http.StatusServiceUnavailable
		}
		body := map[string]any{"checks": results, "ok": ok}
		if log, err := p.store.LogState(r.Context()); err == nil { // it informs, and keeps nobody out
			body["log"] = log
		}
		answer(w, status, body)
	})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the prober went away: nobody to tell
}
