package cli

import (
	"context"
	"errors"

	"practicectl/internal/buildinfo"
	"practicectl/internal/config"
	"practicectl/internal/paths"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/trust"
)

// lazySource opens the source when it is first asked, so that a rollback works without one.
type lazySource struct {
	o      trust.Options
	client *trust.Client
}

func (s *lazySource) open() (*trust.Client, error) {
	if s.client != nil {
		return s.client, nil
	}
	if s.o.Source == "" {
		return nil, uerr.New(uerr.Config, "look for updates", "", errors.New("no source is configured"),
			"set update.source in practice.toml to a mirror's address or folder")
	}
	c, err := trust.Open(s.o)
	s.client = c
	return c, err
}

func (s *lazySource) Refresh(ctx context.Context) (*trust.Catalog, error) {
	c, err := s.open()
	if err != nil {
		return nil, err
	}
	return c.Refresh(ctx)
}

func (s *lazySource) Fetch(ctx context.Context, t release.Target, dst string, task progress.Task) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	return c.Fetch(ctx, t, dst, task)
}

// catalog asks the instance's release source what it offers.
func (r *run) catalog(ctx context.Context) (*trust.Catalog, error) {
	l, err := r.layout()
	if err != nil {
		return nil, err
	}
	cfg, err := r.config()
	if err != nil {
		return nil, err
	}
	return r.releaseSource(l, cfg).Refresh(ctx)
}

func (r *run) releaseSource(l paths.Layout, cfg *config.File) *lazySource {
	return &lazySource{o: trust.Options{Source: cfg.Update.Source, Dir: l.Trust(), Channel: cfg.Update.Channel, Mode: cfg.Update.Mode,
		Now: r.now, Proxy: proxyFrom(r.app.Getenv), UserAgent: Program + "/" + buildinfo.Version()}}
}
