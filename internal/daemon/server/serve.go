package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"practicectl/internal/buildinfo"
	"practicectl/internal/config"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
	core "practicectl/server"
	"practicectl/server/store"
)

// drain is how long requests may take to end when the server stops.
const drain = 15 * time.Second

// serve answers until ctx ends.
func serve(ctx context.Context, o options) error {
	f, err := config.Load(o.layout.Config())
	if err != nil {
		return err
	}
	log := o.log()
	cert, err := loadCertificate(o.layout)
	if err != nil {
		return err
	}
	st, err := waitForStore(ctx, o, f, log)
	if err != nil {
		return err
	}
	defer st.Close()
	svc := core.New(st, nil)

	pages, err := handler(svc, f, log, o.maintenance)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", f.Server.Listen)
	if err != nil {
		return uerr.New(uerr.Precond, "listen on", f.Server.Listen, err, "end what uses the address, or change server.listen in "+o.layout.Config())
	}
	public := &http.Server{
		Handler: pages, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 2 * time.Minute, WriteTimeout: 5 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.get},
	}
	admin, adminListener, err := adminServer(o.layout, svc, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	log.Info("serving", "version", buildinfo.Version(), "address", listener.Addr().String(), "maintenance", o.maintenance)
	fmt.Fprintf(o.out, "practice-server %s serves https://%s\n", buildinfo.Version(), listener.Addr())

	failed := make(chan error, 2)
	go func() { failed <- public.ServeTLS(listener, "", "") }()
	go func() { failed <- admin.Serve(adminListener) }()
	select {
	case err = <-failed:
		log.Error("stopped serving", "error", err.Error())
	case <-ctx.Done():
		err = nil
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err = errors.Join(err, public.Shutdown(stop), admin.Shutdown(stop))
	log.Info("stopped")
	return err
}

// waitForStore opens the store, and waits for a database that is still starting.
func waitForStore(ctx context.Context, o options, f *config.File, log *slog.Logger) (*store.Store, error) {
	for end := time.Now().Add(o.wait); ; {
		st, err := store.Open(ctx, store.Options{ConnString: o.database(f, pgcluster.RoleServer), Log: log})
		if err == nil || uerr.KindOf(err) != uerr.Unreachable || time.Now().After(end) {
			return st, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
