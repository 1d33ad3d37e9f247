package cli

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"practicectl/internal/nodeid"
	"practicectl/internal/paths"
	"practicectl/internal/svc"
	"practicectl/internal/uerr"
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
		Source: r.releaseSource(l, cfg),
		Hooks:  s.hooks(), Opt: l.Opt(), Journal: updateJournal(l), Notices: filepath.Join(l.Var(), "notices.json"),
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

// afterUpdate says what the update leaves for people to do: other instances of this machine use the same programs, and the
// agent goes on as the version that it was started as.
func (r *run) afterUpdate(ctx context.Context, version string) error {
	l, err := r.layout()
	if err != nil {
		return err
	}
	others, err := otherInstances(l)
	for _, name := range others {
		r.progress.Warn("instance %s uses the same programs: before its server starts again, run practice-server migrate --instance %s", name, name)
	}
	if agent, aerr := svc.Open(l).Info(ctx); aerr == nil && agent.Version != version {
		r.progress.Note("the agent still runs version %s; it is %s from its next start on", agent.Version, version)
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
