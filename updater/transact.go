package updater

import (
	"context"
	"errors"
	"fmt"
	"time"

	"practicectl/internal/steps"
	"practicectl/internal/uerr"
)

// The names of the steps, as the journal knows them. They never change: a newer version undoes what an older one began.
const (
	stepStop        = "stop"
	stepWayBack     = "way-back"
	stepSwap        = "swap"
	stepMigrate     = "migrate"
	stepMaintenance = "maintenance"
	stepProbe       = "probe"
	stepOpen        = "open"
	stepTidy        = "tidy"
)

// commitStep is the step after which there is no way back.
func (t Transition) commitStep() string {
	if t.hasServer() {
		return stepProbe
	}
	return stepSwap
}

// list is the transition as steps, in the order in which they happen. From "stop" to "open" no user can write: a machine
// that restarts in between brings the server up in maintenance. That is why the way back loses nothing.
func (u *Updater) list(t Transition, j *steps.Journal) []steps.Step {
	all := []steps.Func{u.stop(t)}
	if t.needsCopy() {
		all = append(all, u.wayBack())
	}
	all = append(all, u.swap(t))
	if t.migrates() {
		all = append(all, u.migrate(t))
	}
	all = append(all, u.maintenance(), u.probe(t), u.open(t), u.tidy(t))
	if !t.hasServer() {
		all = []steps.Func{u.swap(t), u.tidy(t)}
	}
	list := make([]steps.Step, len(all))
	for i, s := range all {
		s.On = func(context.Context) (steps.State, error) {
			if txn := j.Unfinished(); txn != nil && txn.State(s.ID) == steps.EventDone {
				return steps.Satisfied, nil // by a process before this one
			}
			return steps.Change, nil
		}
		do := s.Do
		s.Do = func(ctx context.Context) error {
			err := do(ctx)
			if err != nil && ctx.Err() != nil {
				return ctx.Err() // ended from outside: not the version's fault, whatever the step made of it
			}
			return err
		}
		list[i] = s
	}
	return list
}

func (u *Updater) stop(t Transition) steps.Func {
	return steps.Func{
		ID: stepStop, Action: "let requests end and stop the server",
		Do: func(ctx context.Context) error {
			u.closed = time.Now()
			return u.o.Hooks.StopServer(ctx)
		},
		Revert: func(ctx context.Context) error {
			// The last thing that is undone: the old version is live again with its data.
			if err := u.o.Hooks.StartDatabase(ctx); err != nil {
				return err
			}
			return u.openToUsers(ctx, t.From)
		},
	}
}

func (u *Updater) wayBack() steps.Func {
	w := wayBack{data: u.o.PGData, clone: u.o.Clone}
	return steps.Func{
		ID: stepWayBack, Action: "copy the stopped database as the way back",
		Do: func(ctx context.Context) error {
			if err := u.o.Hooks.StopDatabase(ctx); err != nil {
				return err
			}
			return w.make(ctx, u.p)
		},
		Revert: func(context.Context) error { return w.drop() },
	}
}

func (u *Updater) swap(t Transition) steps.Func {
	return steps.Func{
		ID: stepSwap, Action: fmt.Sprintf("switch %d components to %s", len(t.Components), t.To),
		Do: func(context.Context) error { return u.switchAll(t, func(string) string { return t.To }) },
		Revert: func(context.Context) error {
			return u.switchAll(t, func(name string) string { return t.Components[name] })
		},
		Proof: func(context.Context) error {
			for _, name := range t.Names() {
				if v, err := u.slots(name).Current(); err != nil || v != t.To {
					return errors.Join(fmt.Errorf("%s is at %q", name, v), err)
				}
			}
			return nil
		},
	}
}

func (u *Updater) switchAll(t Transition, to func(name string) string) error {
	for _, name := range t.Names() {
		u.o.Crash("switch/" + name)
		if err := u.slots(name).Switch(to(name)); err != nil {
			return err
		}
	}
	return nil
}

func (u *Updater) migrate(t Transition) steps.Func {
	w := wayBack{data: u.o.PGData, clone: u.o.Clone}
	return steps.Func{
		ID: stepMigrate, Action: fmt.Sprintf("migrate the database to schema %d", t.SchemaTo),
		Do: func(ctx context.Context) error {
			if err := u.o.Hooks.StartDatabase(ctx); err != nil {
				return err
			}
			return u.o.Hooks.Migrate(ctx, t.To)
		},
		Revert: func(ctx context.Context) error {
			if !t.needsCopy() {
				return nil // the old version runs on the new schema
			}
			if err := u.o.Hooks.StopDatabase(ctx); err != nil {
				return err
			}
			return w.restore(u.o.Crash)
		},
	}
}

func (u *Updater) maintenance() steps.Func {
	return steps.Func{
		ID: stepMaintenance, Action: "start the new version, closed to users",
		Do:     u.o.Hooks.StartMaintenance,
		Revert: u.o.Hooks.StopServer,
	}
}

func (u *Updater) probe(t Transition) steps.Func {
	return steps.Func{
		ID: stepProbe, Action: "check that the new version is ready",
		Do: func(ctx context.Context) error { return u.ready(ctx, t.To, u.o.ProbeSettle) },
	}
}

func (u *Updater) open(t Transition) steps.Func {
	return steps.Func{
		ID: stepOpen, Action: "open the new version to users",
		Do: func(ctx context.Context) error { return u.openToUsers(ctx, t.To) },
	}
}

func (u *Updater) openToUsers(ctx context.Context, version string) error {
	if err := u.o.Hooks.OpenToUsers(ctx); err != nil {
		return err
	}
	if err := u.ready(ctx, version, 0); err != nil {
		return err
	}
	u.opened = time.Now()
	return nil
}

// tidy drops what only the way back needed and the oldest versions; the version before stays for a rollback.
func (u *Updater) tidy(t Transition) steps.Func {
	return steps.Func{
		ID: stepTidy, Action: "drop the way back and old versions",
		Do: func(ctx context.Context) error {
			var errs []error
			if t.needsCopy() {
				errs = append(errs, wayBack{data: u.o.PGData, clone: u.o.Clone}.drop())
			}
			for _, name := range t.Names() {
				errs = append(errs, u.slots(name).Prune(u.o.Keep, t.Components[name], t.To))
			}
			errs = append(errs, u.dropOldDownloads())
			if u.o.Hooks.Committed != nil {
				errs = append(errs, u.o.Hooks.Committed(ctx, t))
			}
			return errors.Join(errs...)
		},
	}
}

// ready asks the server again and again until it answers, then looks whether it stays so for settle.
func (u *Updater) ready(ctx context.Context, version string, settle time.Duration) error {
	pause := min(250*time.Millisecond, u.o.ProbeFor/10)
	deadline := time.Now().Add(u.o.ProbeFor)
	var since time.Time // ready without a break
	for {
		err := u.o.Hooks.Probe(ctx)
		now := time.Now()
		switch {
		case err != nil:
			since = time.Time{}
		case since.IsZero():
			since = now
		}
		if err == nil && now.Sub(since) >= settle {
			return nil
		}
		if err != nil && now.After(deadline) {
			return uerr.New(uerr.Failed, "wait for the server of version", version, fmt.Errorf("not ready after %s: %w", u.o.ProbeFor, err), "practicectl status")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
