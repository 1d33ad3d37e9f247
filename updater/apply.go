package updater

import (
	"context"
	"errors"
	"fmt"

	"practicectl/internal/steps"
	"practicectl/internal/uerr"
)

// Request says which update somebody wants.
type Request struct {
	Wish
	// SkipNotice is the reason for installing before the end of the notice. It is kept in the history.
	SkipNotice string
}

// Report is what an update or rollback came to.
type Report struct {
	Recovered *Recovery `json:"recovered,omitempty"` // what an earlier, interrupted run was brought to first
	Plan      *Plan     `json:"plan,omitempty"`      // nil: there was nothing to do
	Outcome   string    `json:"outcome"`             // "current", "committed", "rolled back" or "stuck"
	Version   string    `json:"version"`             // the version that is live now
	Downtime  float64   `json:"downtime_seconds"`    // users could not work for this long
}

// Update brings the installation to the newest version that it may have, or says why not. An unfinished earlier run is
// brought to its end first.
//
// When the new version does not get ready, the old one runs again with the data as they were, and the error has kind
// Failed (exit 1). Before anything is switched the kinds are: Locked, NoSpace, Integrity, Unreachable, Precond, LossGuard.
// Incomplete means that the transition has not ended: the next run goes on with it.
func (u *Updater) Update(ctx context.Context, q Request) (Report, error) {
	ctx, unlock, err := u.lock(ctx, "update apply")
	if err != nil {
		return Report{}, err
	}
	rep, err := u.update(ctx, q)
	return rep, errors.Join(err, unlock())
}

// update is the straight line.
func (u *Updater) update(ctx context.Context, q Request) (Report, error) {
	var rep Report
	var err error
	if rep.Recovered, err = u.recover(ctx); err != nil {
		return rep, err
	}
	pl, err := u.Check(ctx, q.Wish)
	if err != nil {
		return rep, err
	}
	if pl == nil {
		return u.current(rep)
	}
	rep.Plan = pl
	if err := u.noticeOver(pl, q.SkipNotice); err != nil {
		return rep, err
	}
	pl.Transition.Remark = q.SkipNotice
	if err := u.allowed(pl.Transition); err != nil {
		return rep, err
	}
	if err := u.preflight(ctx, pl); err != nil {
		return rep, err
	}
	staged, err := u.stage(ctx, pl)
	if err != nil {
		return rep, err
	}
	if err := u.settleSchema(ctx, staged); err != nil {
		return rep, err
	}
	rep.Plan = &staged.plan
	return u.apply(ctx, rep, staged.plan.Transition)
}

func (u *Updater) current(rep Report) (Report, error) {
	live, err := u.Installed()
	rep.Outcome, rep.Version = "current", oldest(live)
	return rep, err
}

// apply runs the transition and says how it ended. Everything that it needs is staged.
func (u *Updater) apply(ctx context.Context, rep Report, t Transition) (Report, error) {
	out, err := u.transact(ctx, t)
	rep.Outcome = out.String()
	if u.opened.After(u.closed) {
		rep.Downtime = u.opened.Sub(u.closed).Seconds()
	}
	switch out {
	case steps.Committed:
		rep.Version = t.To
	case steps.RolledBack:
		rep.Version = t.From
		if t.Action == ActionUpdate {
			err = errors.Join(err, u.discard(t))
		}
	case steps.Stuck:
	}
	return rep, told(t, out, err)
}

// transact runs the steps of t under the journal; an unfinished transition goes back unless it has been committed.
func (u *Updater) transact(ctx context.Context, t Transition) (steps.Outcome, error) {
	j, err := steps.Open(u.o.Journal, steps.Options{
		Job: "update", Params: t.params(), Resume: steps.Back, CommitAfter: t.commitStep(), Now: u.o.Now, Crash: u.o.Crash,
	})
	if err != nil {
		return steps.RolledBack, err
	}
	out, err := steps.Run(ctx, j, u.list(t, j), u.p)
	return out, errors.Join(err, j.Close())
}

// told says in one sentence what the outcome means for the practice.
func told(t Transition, out steps.Outcome, err error) error {
	if err == nil {
		return nil
	}
	op, kind := "update to", uerr.Failed
	if t.Action == ActionRollback {
		op = "go back to"
	}
	switch k := uerr.KindOf(err); k {
	case uerr.NoSpace, uerr.Interrupted, uerr.Terminated:
		kind = k
	}
	switch out {
	case steps.Committed:
		return uerr.New(uerr.Incomplete, op, t.To, fmt.Errorf("the new version is in place, but: %w", err), "practicectl update apply")
	case steps.Stuck:
		return uerr.New(uerr.Incomplete, op, t.To, fmt.Errorf("it failed and going back to %s failed too: %w", t.From, err),
			"remove the cause, then: practicectl update rollback")
	}
	hint := "practicectl update history"
	if kind == uerr.NoSpace {
		hint = uerr.HintOf(err)
	}
	return uerr.New(kind, op, t.To, fmt.Errorf("%w; version %s runs again and the data are as they were before", err, t.From), hint)
}

// discard deletes the staged files of a version that failed: they would only fill the disk. A version that was merely
// interrupted is fetched again.
func (u *Updater) discard(t Transition) error {
	var errs []error
	for _, name := range t.Names() {
		if t.Components[name] != t.To {
			errs = append(errs, u.slots(name).Remove(t.To))
		}
	}
	return errors.Join(errs...)
}
