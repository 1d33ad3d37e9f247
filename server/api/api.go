// Package api is the server's JSON interface over the domain services.
//
// Every route is one row of [API.Routes]. Requests are decoded strictly, answers follow one contract: 401 not signed in
// (with the reason), 403 denied, 404 not there or not visible, 409 clash, 412 changed meanwhile, 422 wrong input.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"practicectl/internal/api"
	"practicectl/server"
	"practicectl/server/authz"
	"practicectl/server/gate"
	"practicectl/server/problem"
	"practicectl/server/store"
)

// API answers under /api/.
type API struct {
	svc  *server.Services
	gate *gate.Gate
	log  *slog.Logger
}

// New returns the API over services.
func New(svc *server.Services, g *gate.Gate, log *slog.Logger) *API {
	return &API{svc: svc, gate: g, log: log}
}

// Route is one address of the API.
type Route struct {
	Method  string
	Path    string
	Public  bool // without signing in
	Status  int  // of success; 0: 200
	handler func(c *call) (any, error)
}

// Handler serves all routes. Other addresses are 404, other methods 405.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, route := range a.Routes() {
		mux.Handle(route.Method+" "+route.Path, a.serve(route))
	}
	return mux
}

// call is one request being answered.
type call struct {
	*API
	w   http.ResponseWriter
	r   *http.Request
	ctx context.Context
	who *authz.Caller // nil on public routes
	// current is what a stale change met, for the answer.
	current any
}

// sent is returned by handlers that have written the answer themselves.
var errSent = errors.New("api: answer sent")

func (a *API) serve(route Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{API: a, w: w, r: r, ctx: r.Context()}
		var v any
		var err error
		if !route.Public {
			c.who, err = a.gate.Caller(r)
		}
		if err == nil {
			v, err = route.handler(c)
		}
		switch {
		case errors.Is(err, errSent):
		case err != nil:
			c.fail(err)
		case v == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			status := route.Status
			if status == 0 {
				status = http.StatusOK
			}
			write(w, status, v)
		}
	})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client went away: nobody to tell
}

// fail answers with a problem; everything else is an internal error whose cause goes to the log.
func (c *call) fail(err error) {
	id := gate.RequestID(c.ctx).String()
	p := problem.As(err)
	if p == nil && c.ctx.Err() != nil {
		return // the client went away: nobody to tell
	}
	if p == nil {
		c.log.Error("request failed", "request", id, "route", c.r.Pattern, "error", err.Error())
		write(c.w, http.StatusInternalServerError, api.Error{Code: "internal", Message: "internal error", Request: id})
		return
	}
	if p.Err != nil {
		c.log.Info("request refused", "request", id, "route", c.r.Pattern, "code", string(p.Code), "cause", p.Err.Error())
	}
	if p.RetryAfter > 0 {
		c.w.Header().Set("Retry-After", strconv.Itoa(int(p.RetryAfter/time.Second)))
	}
	c.logRefusal(p)
	write(c.w, p.Code.Status(), api.Error{Code: string(p.Code), Reason: p.Reason, Message: messages[p.Code], Fields: p.Fields, Current: c.current, Request: id})
}

// logRefusal puts wrong input on record; the services log everything that comes as far as them.
func (c *call) logRefusal(p *problem.Error) {
	if c.who == nil || p.Code != problem.Invalid && p.Code != problem.TooLarge {
		return
	}
	err := c.svc.Store.AuditFailure(c.ctx, c.who.Session, store.Entry{Feature: "api", Action: store.Execute, Kind: c.r.Pattern, Outcome: "failed", Reason: string(p.Code)})
	if err != nil {
		c.log.Error("a refusal is not on record", "request", gate.RequestID(c.ctx).String(), "error", err.Error())
	}
}

var messages = map[problem.Code]string{
	problem.NotFound:    "not found",
	problem.Forbidden:   "you may not do this",
	problem.Stale:       "somebody else changed this meanwhile",
	problem.Conflict:    "this clashes with something that is there already",
	problem.Taken:       "the time is taken",
	problem.Locked:      "this is final and cannot be changed",
	problem.Invalid:     "the input is wrong",
	problem.TooLarge:    "the input is too large",
	problem.SignIn:      "sign in first",
	problem.Refused:     "login, password or code is wrong",
	problem.Throttled:   "too many failed attempts, wait",
	problem.Unavailable: "the server is not available, try again later",
}

// body decodes the JSON body of a request strictly into v.
func (c *call) body(v any) error {
	if t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return problem.Field("content-type", "application/json")
	}
	dec := json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, gate.MaxBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, extra := dec.Token(); !errors.Is(extra, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	var big *http.MaxBytesError
	var field *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &big):
		return problem.New(problem.TooLarge, nil)
	case errors.As(err, &field):
		return problem.Field(field.Field, "invalid")
	}
	return problem.Field("body", "invalid") // the decoder's own words may quote the input
}

// id reads the path's {id}. Something that is no id is as little there as an unknown one.
func (c *call) id() (uuid.UUID, error) {
	id, err := uuid.Parse(c.r.PathValue("id"))
	if err != nil {
		return id, problem.New(problem.NotFound, nil)
	}
	return id, nil
}

// params reads typed query parameters; the first mistake stays in err.
type params struct {
	url.Values
	err error
}

func (c *call) params(known ...string) *params {
	p := &params{Values: c.r.URL.Query()}
	for name := range p.Values {
		ok := false
		for _, k := range known {
			ok = ok || k == name
		}
		if !ok {
			p.err = problem.Field("query", "unknown_parameter")
		}
	}
	return p
}

func (p *params) uuid(name string) *uuid.UUID {
	if !p.Has(name) {
		return nil
	}
	id, err := uuid.Parse(p.Get(name))
	if err != nil {
		p.err = problem.Field(name, "invalid")
	}
	return &id
}

func (p *params) number(name string) int {
	if !p.Has(name) {
		return 0
	}
	n, err := strconv.Atoi(p.Get(name))
	if err != nil || n < 0 || n > 1<<30 {
		p.err = problem.Field(name, "invalid")
	}
	return n
}

func (p *params) time(name string) (t time.Time) {
	if !p.Has(name) {
		return t
	}
	t, err := time.Parse(time.RFC3339, p.Get(name))
	if err != nil {
		p.err = problem.Field(name, "invalid")
	}
	return t
}

func (p *params) flag(name string) bool {
	if !p.Has(name) {
		return false
	}
	b, err := strconv.ParseBool(p.Get(name))
	if err != nil {
		p.err = problem.Field(name, "invalid")
	}
	return b
}
