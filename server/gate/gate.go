// Package gate is the way in over HTTP, for the API and the screens alike: it names each request, refuses forged and
// oversized ones, turns a cookie or a bearer token into a [authz.Caller], and logs method, route and status, never what
// was asked for.
package gate

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"practicectl/internal/secret"
	"practicectl/server/authn"
	"practicectl/server/authz"
	"practicectl/server/problem"
	"practicectl/server/store"
)

// CookieName is the session cookie: bound to this host, to TLS and to the path "/".
const CookieName = "__Host-practice"

// MaxBody is the longest body of a request, in bytes, except for uploads, which have a limit of their own.
const MaxBody = 1 << 20

// Observe hears of each finished request: the route's pattern, never its address.
type Observe func(method, route string, status int, took time.Duration)

// Gate lets requests in.
type Gate struct {
	auth    *authn.Service
	log     *slog.Logger
	observe Observe
	cross   *http.CrossOriginProtection
}

// New returns a gate. observe may be nil.
func New(auth *authn.Service, log *slog.Logger, observe Observe) *Gate {
	if observe == nil {
		observe = func(string, string, int, time.Duration) {}
	}
	return &Gate{auth: auth, log: log, observe: observe, cross: http.NewCrossOriginProtection()}
}

type requestKey struct{}

// RequestID is the id of a request that came through Wrap.
func RequestID(ctx context.Context) uuid.UUID {
	id, _ := ctx.Value(requestKey{}).(uuid.UUID)
	return id
}

// Wrap is the outermost handler.
func (g *Gate) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := store.NewID()
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, id))
		rec := &recorder{ResponseWriter: w}
		h := w.Header()
		h.Set("X-Request-Id", id.String())
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if named(r.Host) {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		defer func() {
			if p := recover(); p != nil {
				if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(p)
				}
				g.log.Error("panic", "request", id.String(), "route", r.Pattern, "stack", string(debug.Stack())) // not the value: it may quote data
				if rec.status == 0 {
					http.Error(rec, "internal error", http.StatusInternalServerError)
				}
			}
			took := time.Since(start)
			g.observe(r.Method, r.Pattern, rec.code(), took)
			g.log.Info("request", "request", id.String(), "method", r.Method, "route", r.Pattern, "status", rec.code(), "ms", took.Milliseconds())
		}()
		if err := g.cross.Check(r); err != nil {
			http.Error(rec, string(problem.CrossOrigin), http.StatusForbidden)
			return
		}
		next.ServeHTTP(rec, r)
	})
}

// named reports whether a host is a name of its own. On "localhost" and on addresses the header would turn away every
// other program that serves plain HTTP there.
func named(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return host != "localhost" && !strings.HasSuffix(host, ".localhost") && net.ParseIP(strings.Trim(host, "[]")) == nil
}

// Where is where a request comes from.
func Where(r *http.Request, device string) authn.Where {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || net.ParseIP(strings.SplitN(host, "%", 2)[0]) == nil {
		host = "" // a unix socket
	}
	if device == "" {
		device = strings.ToValidUTF8(strings.ReplaceAll(r.UserAgent(), "\x00", ""), "")
	}
	if len(device) > 200 {
		device = strings.ToValidUTF8(device[:200], "")
	}
	return authn.Where{IP: strings.SplitN(host, "%", 2)[0], Device: device, Request: RequestID(r.Context())}
}

// Caller returns who makes a request. A request with the header X-Passive (polling in the background) does not keep
// the session from ending idle. Problem: SignIn with a reason.
func (g *Gate) Caller(r *http.Request) (*authz.Caller, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		c, err := r.Cookie(CookieName)
		if err != nil {
			return nil, &problem.Error{Code: problem.SignIn, Reason: "unknown"}
		}
		token = c.Value
	}
	return g.auth.Enter(r.Context(), secret.New(token), r.Header.Get("X-Passive") == "", Where(r, ""))
}

// SignIn opens a session and gives the browser its cookie; the token is returned for clients that keep it themselves.
// Problems: Refused, Throttled.
func (g *Gate) SignIn(w http.ResponseWriter, r *http.Request, login string, password secret.Text, device string) (secret.Text, error) {
	token, err := g.auth.SignIn(r.Context(), login, password, Where(r, device))
	if err != nil {
		return token, err
	}
	http.SetCookie(w, cookie(token.Reveal(), 0))
	return token, nil
}

// SignOut ends the caller's session and takes the cookie back.
func (g *Gate) SignOut(w http.ResponseWriter, r *http.Request) error {
	http.SetCookie(w, cookie("", -1))
	w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	who, err := g.Caller(r)
	if problem.Is(err, problem.SignIn) {
		return nil
	}
	if err != nil {
		return err
	}
	return g.auth.SignOut(r.Context(), who)
}

func cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: CookieName, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: maxAge}
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(code int) {
	if r.status == 0 {
		r.status = code
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}
