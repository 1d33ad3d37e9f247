package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"practicectl/installer"
	"practicectl/internal/config"
	"practicectl/internal/paths"
	"practicectl/internal/pgcluster"
	"practicectl/internal/slots"
	"practicectl/internal/svc"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/archive"
	"practicectl/updater"
)

// services is what the updater may do with the services of an instance.
type services struct {
	l       paths.Layout
	cfg     *config.File
	manager svc.Manager
	now     func() time.Time
}

func (s *services) hooks() updater.Hooks {
	return updater.Hooks{
		StopServer: func(ctx context.Context) error {
			// The definition first: whatever starts the server from here on, such as a reboot, keeps it closed to users.
			return errors.Join(s.define(ctx, true), s.manager.Stop(ctx, svc.Server))
		},
		StartMaintenance: func(ctx context.Context) error { return s.serve(ctx, true) },
		OpenToUsers:      func(ctx context.Context) error { return s.serve(ctx, false) },
		StopDatabase:     func(ctx context.Context) error { return s.manager.Stop(ctx, svc.Database) },
		StartDatabase:    s.startDatabase,
		Migrate:          s.migrate,
		Probe:            s.probe,
		Schema:           s.schema,
		Committed:        s.receipts,
	}
}

// startDatabase returns when PostgreSQL lets people in: its socket answers before it does.
func (s *services) startDatabase(ctx context.Context) error {
	if err := s.manager.Start(ctx, svc.Database); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Minute, errors.New("the database takes too long to recover"))
	defer cancel()
	c := pgcluster.At(s.l, pgcluster.Binaries{}, s.cfg.Database.Port)
	for {
		conn, err := c.Connect(ctx, pgcluster.RoleMigrate, s.cfg.Database.Name)
		if err == nil {
			return conn.Close(ctx)
		}
		if uerr.KindOf(err) != uerr.Unreachable || ctx.Err() != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// define writes the definition of the server's service.
func (s *services) define(ctx context.Context, maintenance bool) error {
	program, err := s.program("")
	if err != nil {
		return err
	}
	return s.manager.Install(ctx, installer.ServerService(s.l, program, s.cfg.Server.Listen, maintenance))
}

// serve runs the live version of the server, open or closed.
func (s *services) serve(ctx context.Context, maintenance bool) error {
	if err := s.define(ctx, maintenance); err != nil {
		return err
	}
	return s.manager.Restart(ctx, svc.Server)
}

// program returns the path of the server's program: of a version, or through "current" when version is empty.
func (s *services) program(version string) (string, error) {
	server := slots.Slots{Dir: s.l.Component(release.Server)}
	base := server.Path(version)
	if version == "" {
		base = server.CurrentPath()
	}
	m, err := archive.ReadManifest(base)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(m.Files, func(f archive.File) bool {
		return strings.TrimSuffix(filepath.Base(f.Path), ".exe") == "practice-server" && f.Mode == "0755"
	})
	if i < 0 {
		return "", uerr.New(uerr.Integrity, "find practice-server in", base, errors.New("this component has none"), "practicectl component verify")
	}
	return filepath.Join(base, filepath.FromSlash(m.Files[i].Path)), nil
}

// call runs the server program of a version and returns what it says on stdout.
func (s *services) call(ctx context.Context, version string, args ...string) ([]byte, error) {
	program, err := s.program(version)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, append(args, "--prefix", s.l.Prefix, "--instance", s.l.Instance)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("practice-server %s: %w: %w", args[0], err, told("practice-server", stderr.String()))
	}
	return out, nil
}

// told is what a program said about its failure: the line that begins with its name, else the last one.
func told(program, text string) error {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, line := range lines {
		if why, ok := strings.CutPrefix(line, program+": "); ok {
			return errors.New(why)
		}
	}
	return errors.New(lines[len(lines)-1])
}

func (s *services) migrate(ctx context.Context, version string) error {
	_, err := s.call(ctx, version, "migrate")
	return err
}

func (s *services) schema(ctx context.Context, version string) (v updater.Schema, err error) {
	out, err := s.call(ctx, version, "schema", "--json")
	if err == nil {
		err = json.Unmarshal(out, &v)
	}
	return v, err
}

// probe asks the server's /readyz once.
func (s *services) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return installer.Probe(ctx, s.cfg.Server.Listen, filepath.Join(s.l.Cred(), installer.CACertFile), 0)
}

// receipts brings the receipts of the switched components up to date.
func (s *services) receipts(_ context.Context, t updater.Transition) error {
	var errs []error
	for name := range t.Components {
		errs = append(errs, s.receipt(name, t.To))
	}
	return errors.Join(errs...)
}

func (s *services) receipt(component, version string) error {
	rec, err := installer.ReadReceipt(s.l.Receipts(), component)
	if uerr.KindOf(err) == uerr.NotFound || err == nil && rec.Version == version {
		return nil // put there without the installer, or written by a run before this one
	}
	if err != nil {
		return err
	}
	dir := slots.Slots{Dir: s.l.Component(component)}.Path(version)
	m, err := archive.ReadManifest(dir)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(dir, archive.ManifestName))
	if err != nil {
		return uerr.New(uerr.Integrity, "read the component in", dir, err, "practicectl component verify")
	}
	sum := sha256.Sum256(data)
	rec.Version, rec.Dir, rec.FilesSHA256 = version, dir, hex.EncodeToString(sum[:])
	rec.Requires, rec.Installed = slices.Concat([]string{}, m.Requires), s.now().UTC()
	return installer.WriteReceipt(s.l.Receipts(), rec)
}
