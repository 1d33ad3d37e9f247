package server

import (
	"log/slog"
	"net/http"
	"strings"

	"practicectl/internal/config"
	core "practicectl/server"
	"practicectl/server/api"
	"practicectl/server/gate"
	"practicectl/server/ready"
)

// handler serves probes, metrics, the API and the screens. In maintenance only probes and metrics answer, so that an
// update can look at a started server before anybody writes to it.
func handler(svc *core.Services, f *config.File, log *slog.Logger, maintenance bool) (http.Handler, error) {
	m := newMetrics(svc.Store)
	g := gate.New(svc.Authn, log, m.observe)
	probes := http.NewServeMux()
	ready.New(svc.Store, log).Register(probes)
	probes.Handle("GET /metrics", m.handler())

	pages, err := screens(svc, g, f, log)
	if err != nil {
		return nil, err
	}
	users := http.NewServeMux()
	users.Handle("/api/", api.New(svc, g, log).Handler())
	users.Handle("/", pages)

	open := g.Wrap(users)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := probes.Handler(r); pattern != "" {
			probes.ServeHTTP(w, r)
			return
		}
		if maintenance {
			closed(w, r)
			return
		}
		open.ServeHTTP(w, r)
	}), nil
}

func closed(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "30")
	w.Header().Set("Cache-Control", "no-store")
	if strings.HasPrefix(r.URL.Path, "/api/") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"code":"unavailable","message":"maintenance, try again in a minute"}` + "\n")) // the client went away: nobody to tell
		return
	}
	http.Error(w, "Wartung. Bitte in einer Minute neu laden. / Maintenance, please reload in a minute.", http.StatusServiceUnavailable)
}
