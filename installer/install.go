package installer

import (
	"context"
	"errors"
	"path/filepath"

	"practicectl/internal/steps"
	"practicectl/internal/uerr"
	"practicectl/release"
)

// Report is how an installation ended.
type Report struct {
	Outcome       string    `json:"outcome"` // "committed" or "rolled back"
	Changes       int       `json:"changes"` // steps that had something to do; 0: everything was there
	Components    []Package `json:"components"`
	URL           string    `json:"url,omitempty"`
	CAFingerprint string    `json:"ca_fingerprint,omitempty"` // SHA-256 of the local authority: compare it before trusting it
	Program       string    `json:"program"`                  // the installed practicectl
}

// Install makes the machine what d says: plan, journalled steps, receipts, verify. An installation that a crash
// interrupted is finished when d is the same and undone first when it is another one. digest, when not empty, must be
// that of the plan. Error kinds: those of Plan, and of the step that failed, after everything was undone.
func (i *Installer) Install(ctx context.Context, d Desired, digest string) (Report, error) {
	if err := errors.Join(d.Check(), i.preflight(ctx, d)); err != nil {
		return Report{}, err
	}
	p, changes, err := i.settle(ctx, d)
	if err != nil {
		return Report{}, err
	}
	if p == nil {
		if p, err = i.Plan(ctx, d); err != nil {
			return Report{}, err
		}
		changes = p.Changes()
		if digest != "" && digest != p.Digest {
			return Report{}, uerr.New(uerr.Precond, "install as planned", "", errors.New("the machine changed since the plan was made"), "make a new plan: practicectl install --dry-run")
		}
	}
	rep := Report{Changes: changes, Components: p.Components, Outcome: steps.Committed.String()}
	if changes > 0 {
		out, err := i.run(ctx, p, steps.Forward)
		rep.Outcome = out.String()
		if err != nil {
			return rep, err
		}
	}
	return i.describe(rep, d)
}

// settle finishes what an earlier run left. It returns the plan to go on with, or nil when there is nothing to go on
// with.
func (i *Installer) settle(ctx context.Context, d Desired) (*Plan, int, error) {
	j, err := steps.Open(i.journal(), steps.Options{})
	if err != nil {
		return nil, 0, err
	}
	un := j.Unfinished()
	if err := j.Close(); err != nil {
		return nil, 0, err
	}
	if un == nil {
		return nil, 0, i.before().forget()
	}
	old, packages, err := fromParams(un.Params)
	if err != nil {
		return nil, 0, err
	}
	p := &Plan{Desired: old, Components: packages, list: i.steps(old, packages)}
	if !un.Back && old.encode() == d.encode() {
		i.o.Progress.Note("going on with the installation begun at %s", un.Begun.Local().Format("2006-01-02 15:04:05"))
		return p, len(p.list), nil
	}
	i.o.Progress.Note("undoing the installation begun at %s first", un.Begun.Local().Format("2006-01-02 15:04:05"))
	if out, err := i.run(ctx, p, steps.Back); out != steps.RolledBack {
		return nil, 0, err
	}
	return nil, 0, i.before().forget()
}

func (i *Installer) run(ctx context.Context, p *Plan, resume steps.Direction) (steps.Outcome, error) {
	params, err := p.params()
	if err != nil {
		return steps.Stuck, err
	}
	j, err := steps.Open(i.journal(), steps.Options{Job: "install", Params: params, Resume: resume, Now: i.o.Now, Crash: i.o.Crash})
	if err != nil {
		return steps.Stuck, err
	}
	out, err := steps.Run(ctx, j, p.list, i.o.Progress)
	if out == steps.RolledBack || out == steps.Committed && err == nil {
		err = errors.Join(err, i.before().forget()) // old keys among it
	}
	return out, errors.Join(err, j.Close())
}

func (i *Installer) describe(rep Report, d Desired) (Report, error) {
	var err error
	if rep.Program, err = i.program(release.Practicectl, release.Practicectl); err != nil {
		return rep, err
	}
	if !d.hasServer() {
		return rep, nil
	}
	rep.URL = d.URL
	rep.CAFingerprint, err = FingerprintOf(filepath.Join(i.o.Layout.Cred(), CACertFile))
	return rep, err
}
