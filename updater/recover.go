package updater

import (
	"context"
	"errors"

	"practicectl/internal/steps"
	"practicectl/internal/uerr"
	"practicectl/release"
)

// Recovery says what an interrupted transition was brought to.
type Recovery struct {
	Transition Transition `json:"transition"`
	Outcome    string     `json:"outcome"` // "committed": the new version; "rolled back": the old one
}

// Unfinished reports whether a crash or a failed way back left a transition open: [Updater.Recover] has something to do.
func (u *Updater) Unfinished() (bool, error) {
	txns, err := steps.Read(u.o.Journal)
	return err == nil && len(txns) > 0 && !txns[len(txns)-1].Finished(), err
}

// Recover brings what a crash interrupted to exactly the old version or, if the new one had been committed, to the new
// one, and clears half-made folders. It returns nil when nothing was unfinished. The agent calls it when it starts, every
// update and rollback before it begins. Error kinds: Locked, Integrity (the journal is damaged), Incomplete (not yet).
func (u *Updater) Recover(ctx context.Context) (*Recovery, error) {
	ctx, unlock, err := u.lock(ctx, "update recovery")
	if err != nil {
		return nil, err
	}
	r, err := u.recover(ctx)
	return r, errors.Join(err, unlock())
}

func (u *Updater) recover(ctx context.Context) (*Recovery, error) {
	txns, err := steps.Read(u.o.Journal)
	if err != nil {
		return nil, err
	}
	var r *Recovery
	if n := len(txns); n > 0 && !txns[n-1].Finished() {
		if r, err = u.finish(ctx, txns[n-1].Params); err != nil {
			return r, err
		}
	}
	for _, name := range release.Components() {
		if err := u.slots(name).Recover(); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (u *Updater) finish(ctx context.Context, params map[string]string) (*Recovery, error) {
	t, err := fromParams(params)
	if err != nil {
		return nil, uerr.New(uerr.Integrity, "finish the interrupted update in", u.o.Journal, err, "")
	}
	out, err := u.transact(ctx, t)
	r := &Recovery{Transition: t, Outcome: out.String()}
	if out == steps.RolledBack {
		u.p.Note("an interrupted update to %s was undone; version %s runs", t.To, t.From)
		return r, nil // the error only says that there was an interruption
	}
	return r, told(t, out, err)
}
