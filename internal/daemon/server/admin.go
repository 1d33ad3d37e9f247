package server

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"practicectl/internal/api"
	"practicectl/internal/paths"
	"practicectl/internal/secret"
	"practicectl/internal/uerr"
	core "practicectl/server"
	"practicectl/server/authn"
	"practicectl/server/problem"
)

type peerKey struct{}

// adminServer answers on a socket that only this machine's administrator can reach: the server's own account and root.
func adminServer(l paths.Layout, svc *core.Services, log *slog.Logger) (*http.Server, net.Listener, error) {
	if err := os.MkdirAll(l.Run(), 0o750); err != nil {
		return nil, nil, uerr.New(uerr.Precond, "make the folder", l.Run(), err, "")
	}
	path := l.AdminSocket()
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		return nil, nil, errors.Join(uerr.New(uerr.Locked, "start the server", "", errors.New("another server of this instance is running"), "practicectl status"), c.Close())
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, uerr.New(uerr.Precond, "remove the stale socket", path, err, "")
	}
	listener, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return nil, nil, uerr.New(uerr.Precond, "listen on", path, err, "")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/first-admin", func(w http.ResponseWriter, r *http.Request) {
		var in api.FirstAdmin
		answer(w, log, decode(w, r, &in), func() (any, error) { return svc.Accounts.First(r.Context(), in) })
	})
	mux.HandleFunc("POST /v1/activate", func(w http.ResponseWriter, r *http.Request) {
		var in api.Activate
		answer(w, log, decode(w, r, &in), func() (any, error) {
			return struct{}{}, svc.Authn.Activate(r.Context(), in.Login, in.Code, secret.New(in.Password), authn.Where{Device: "admin socket"})
		})
	})
	return &http.Server{
		Handler: onlyPeer(mux), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, allowedPeer(c))
		},
	}, listener, nil
}

func onlyPeer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ok, _ := r.Context().Value(peerKey{}).(bool); !ok {
			http.Error(w, "only root and the server's own account may", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func decode(w http.ResponseWriter, r *http.Request, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	dec.DisallowUnknownFields()
	if dec.Decode(v) != nil {
		return problem.Field("body", "invalid")
	}
	return nil
}

func answer(w http.ResponseWriter, log *slog.Logger, err error, do func() (any, error)) {
	var v any
	if err == nil {
		v, err = do()
	}
	status := http.StatusOK
	if p := problem.As(err); p != nil {
		status, v = p.Code.Status(), api.Error{Code: string(p.Code), Message: p.Error(), Fields: p.Fields}
	} else if err != nil {
		log.Error("admin request failed", "error", err.Error())
		status, v = http.StatusInternalServerError, api.Error{Code: "internal", Message: "internal error"}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client went away: nobody to tell
}
