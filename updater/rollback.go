package updater

import (
	"context"
	"errors"
	"fmt"
	"time"

	"practicectl/internal/steps"
	"practicectl/internal/uerr"
	"practicectl/release"
)

// Rollback goes back to the version before the last update, on purpose. The data stay as they are now, so it is possible
// only where the old version can live with the schema of the new one. An interrupted update is undone first; when that
// already was the way back, Rollback is done.
//
// Error kinds: LossGuard when the old version could not read the data; NotFound when there is no version to go back to;
// Failed when the old version did not get ready and the new one runs again.
func (u *Updater) Rollback(ctx context.Context) (Report, error) {
	ctx, unlock, err := u.lock(ctx, "update rollback")
	if err != nil {
		return Report{}, err
	}
	rep, err := u.rollback(ctx)
	return rep, errors.Join(err, unlock())
}

func (u *Updater) rollback(ctx context.Context) (Report, error) {
	var rep Report
	var err error
	if rep.Recovered, err = u.recover(ctx); err != nil {
		return rep, err
	}
	if rep.Recovered != nil && rep.Recovered.Outcome == steps.RolledBack.String() {
		rep.Outcome, rep.Version = steps.RolledBack.String(), rep.Recovered.Transition.From
		return rep, nil
	}
	t, err := u.PlanRollback()
	if err != nil {
		return rep, err
	}
	if err := u.stillOffered(ctx, t); err != nil {
		return rep, err
	}
	rep.Plan = &Plan{Transition: t, Why: "asked for"}
	return u.apply(ctx, rep, t)
}

// PlanRollback says what Rollback would do, and changes nothing.
func (u *Updater) PlanRollback() (Transition, error) {
	live, err := u.Installed()
	if err != nil {
		return Transition{}, err
	}
	last, err := u.lastUpdate(oldest(live))
	if err != nil {
		return Transition{}, err
	}
	t := Transition{Action: ActionRollback, From: oldest(live), To: last.From, Components: live,
		SchemaFrom: last.SchemaTo, SchemaTo: last.SchemaFrom, BackwardCompatible: last.BackwardCompatible}
	for _, name := range t.Names() {
		if !u.slots(name).Has(t.To) {
			return t, uerr.New(uerr.NotFound, "go back to", t.To, fmt.Errorf("%s of this version is not on the disk any more", name),
				"practicectl component list")
		}
	}
	return t, u.allowed(t)
}

// askBefore is how long a rollback waits for the source: it must work without one, on the worst day too.
const askBefore = 5 * time.Second

// stillOffered refuses a version that the vendor has taken back or put below the floor since. A source that cannot be
// reached refuses nothing.
func (u *Updater) stillOffered(ctx context.Context, t Transition) error {
	if u.o.Source == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askBefore)
	defer cancel()
	cat, err := u.o.Source.Refresh(ctx)
	if err != nil {
		u.p.Warn("cannot ask whether version %s is still allowed: %v", t.To, err)
		return nil
	}
	for _, name := range t.Names() {
		why := ""
		if rev, revoked := cat.Index.RevocationOf(name, t.To); revoked {
			why = "the vendor took it back: " + rev.Reason
		} else if floor := cat.Index.Floors[name]; floor != "" && release.CompareVersions(t.To, floor) < 0 {
			why = name + " must be at least " + floor
		}
		if why != "" {
			return uerr.New(uerr.Precond, "go back to", t.To, errors.New(why), "practicectl update check")
		}
	}
	return nil
}

// lastUpdate returns the committed update that brought version here.
func (u *Updater) lastUpdate(version string) (Transition, error) {
	history, err := u.History()
	if err != nil {
		return Transition{}, err
	}
	for i := len(history) - 1; i >= 0; i-- {
		e := history[i]
		if e.Outcome == steps.Committed.String() && e.Transition.Action == ActionUpdate && e.Transition.To == version {
			return e.Transition, nil
		}
	}
	return Transition{}, uerr.New(uerr.NotFound, "go back from", version, errors.New("no update brought this version here"), "practicectl update history")
}

// allowed refuses to put an old version on data that it cannot read.
func (u *Updater) allowed(t Transition) error {
	if t.Action != ActionRollback || !t.hasServer() {
		return nil
	}
	last, err := u.lastUpdate(t.From)
	if err != nil {
		return err
	}
	if last.From != t.To || (!last.BackwardCompatible && last.SchemaTo != last.SchemaFrom) {
		return uerr.New(uerr.LossGuard, "go back to", t.To, fmt.Errorf("it cannot work with the database of %s, and what was written since %s would be lost", t.From, t.From),
			"restore a snapshot from before the update into a second instance: practicectl restore plan")
	}
	return nil
}
