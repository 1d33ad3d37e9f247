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
	"practicectl/internal/buildinfo"
	"practicectl/internal/config"
	"practicectl/internal/nodeid"
	"practicectl/internal/paths"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/slots"
	"practicectl/internal/svc"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/archive"
	"practicectl/release/trust"
	"practicectl/updater"
)

// probeSettle is how long a new version must answer without a break: long enough to see a server that crashes at once.
const probeSettle = 2 * time.Second

// readyWithin is how long a started server may take until it is ready.
const readyWithin = 30 * time.Second

// newUpdater wires the updater of the chosen instance to its services, its database and its release source.
func (r *run) newUpdater(readyWithin time.Duration) (*updater.Updater, error) {
	l, err := r.layout()
	if err != nil {
		return nil, err
	}
	cfg, err := r.config()
	if err != nil {
		return nil, err
	}
	id, err := nodeid.Ensure(nodeid.Path(l))
	if err != nil {
		return nil, uerr.New(uerr.Precond, "read the name of this machine in", nodeid.Path(l), err, "practicectl doctor")
	}
	s := &services{l: l, cfg: cfg, manager: svc.Open(l), now: r.now}
	return updater.New(updater.Options{
		Source: &lazySource{o: trust.Options{Source: cfg.Update.Source, Dir: l.Trust(), Channel: cfg.Update.Channel, Mode: cfg.Update.Mode,
			Now: r.now, Proxy: proxyFrom(r.app.Getenv), UserAgent: Program + "/" + buildinfo.Version()}},
		Hooks: s.hooks(), Opt: l.Opt(), Journal: updateJournal(l), Notices: filepath.Join(l.Var(), "notices.json"),
		Lock: filepath.Join(l.Opt(), ".update.lock"), Downloads: l.Downloads(), PGData: l.PGData(), HostID: id,
		Keep: max(1, cfg.Update.Keep-1), ProbeFor: readyWithin, ProbeSettle: probeSettle, LockWait: r.global.lockTimeout, Now: r.now,
	}, r.progress), nil
}

// finishUpdate brings an update that a crash or a power cut interrupted to its end, as soon as the agent answers. Until
// then the server runs closed to users, if at all. An update that runs right now holds the lock and is left alone.
func (r *run) finishUpdate(ctx context.Context, note func(format string, args ...any)) {
	l, err := r.layout()
	if err != nil {
		return
	}
	agent := svc.Open(l)
	for _, err := agent.Info(ctx); err != nil; _, err = agent.Info(ctx) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	if _, err := os.Stat(updateJournal(l)); err != nil {
		return // never updated
	}
	u, err := r.newUpdater(readyWithin)
	if err != nil {
		note("look for an interrupted update: %v", err)
		return
	}
	switch done, err := u.Recover(ctx); {
	case uerr.KindOf(err) == uerr.Locked:
		note("an update is running")
	case err != nil:
		note("finish the interrupted update: %v", err)
	case done != nil:
		note("the interrupted change to %s was brought to its end: %s", done.Transition.To, done.Outcome)
	}
}

func updateJournal(l paths.Layout) string { return filepath.Join(l.Journals(), "update.jsonl") }

// otherInstances lists the instances of this machine that use the same programs and have a database of their own.
func otherInstances(l paths.Layout) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(l.Etc()))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		other, err := paths.New(l.Prefix, e.Name())
		if err != nil || e.Name() == l.Instance {
			continue // not an instance
		}
		if _, err := os.Stat(filepath.Join(other.PGData(), "PG_VERSION")); err == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// warnOthers says what the switch of the programs means for the other instances of this machine.
func (r *run) warnOthers() error {
	l, err := r.layout()
	if err != nil {
		return err
	}
	others, err := otherInstances(l)
	for _, name := range others {
		r.progress.Warn("instance %s uses the same programs: before its server starts again, run practice-server migrate --instance %s", name, name)
	}
	return err
}

// lockForUpdate keeps away what must not happen while the programs and the data change hands: an installation would see
// half a switch, and a backup would hold a history that never was when the database is put back.
func (r *run) lockForUpdate(ctx context.Context, what string) (context.Context, func(), error) {
	var held []func()
	release := func() {
		for _, f := range slices.Backward(held) {
			f()
		}
	}
	for _, job := range []string{"install", "backup", "database"} {
		locked, unlock, err := r.lock(ctx, job, what)
		if err != nil {
			release()
			return nil, nil, err
		}
		ctx, held = locked, append(held, unlock)
	}
	return ctx, release, nil
}

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
