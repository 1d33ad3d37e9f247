package drill

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"practicectl/backup/proof"
	"practicectl/internal/uerr"
)

// conclude judges the drill, writes the evidence and returns the error that the judgement stands for. problem is what stopped
// the drill; nil: it was done to its end.
func (d *drill) conclude(ctx context.Context, problem error) error {
	ctx = context.WithoutCancel(ctx) // an interrupted drill leaves evidence too
	e := &d.e
	e.Ended = d.o.Now().UTC()
	if !e.Newest.IsZero() {
		e.RPO.Seconds, e.RPO.Known = max(0, e.Began.Sub(e.Newest).Seconds()), true
	}
	if problem == nil {
		problem = d.judge()
	}
	e.Verdict = Passed
	if problem != nil {
		e.Verdict = Failed
		if uerr.KindOf(problem) == uerr.Overdue {
			e.Verdict = Missed
		}
		e.Problem = &Problem{Step: d.step, Kind: uerr.KindOf(problem).String(), Error: problem.Error(), Next: uerr.HintOf(problem)}
	}
	if err := d.o.append(e); err != nil {
		return errors.Join(problem, err)
	}
	d.crash("evidence written")
	if d.repo != nil {
		if err := d.o.store(ctx, d.repo.Store, e.Ended); err != nil {
			d.p.Warn("the evidence is kept on this machine and stored with the next drill: %v", err)
			return first(problem, err)
		}
	}
	d.crash("evidence stored")
	return first(problem, d.tampered)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// judge looks at what the checks found, then at the numbers that must not fall, then at the objectives.
func (d *drill) judge() error {
	for _, r := range d.e.Checks {
		if len(r.Findings) > 0 {
			return found(r)
		}
	}
	if err := d.fallen(); err != nil {
		return err
	}
	for _, o := range []struct {
		Objective
		what string
	}{{d.e.RTO, "restoring and proving took %s, the objective is %s"}, {d.e.RPO, "the newest restorable state was %s old, the objective is %s"}} {
		if !o.Met() && o.Known {
			return uerr.New(uerr.Overdue, "the drill passed every check and missed an objective:", "", fmt.Errorf(o.what, Span(o.Seconds), Span(o.Limit)),
				"practicectl drill report; then practicectl backup list")
		}
	}
	return nil
}

func found(r proof.Result) error {
	more := ""
	if n := len(r.Findings) + r.More - 1; n > 0 {
		more = fmt.Sprintf(", and %d more", n)
	}
	return uerr.New(uerr.Integrity, "the drill failed: this does not hold:", r.Says, fmt.Errorf("%s%s", r.Findings[0], more), "see all: practicectl drill report --out drill.html; then drill another snapshot: practicectl drill run --random")
}

// fallen compares the counts of what is only ever added to with those of the last drill that passed on an earlier state of the
// same database.
func (d *drill) fallen() error {
	before, err := d.comparable()
	if err != nil || before == nil {
		return err
	}
	for i := range d.e.Checks {
		r := &d.e.Checks[i]
		for _, old := range before.Checks {
			if r.Value == nil || old.Value == nil || old.Name != r.Name || *r.Value >= *old.Value {
				continue
			}
			r.Findings = append(r.Findings, fmt.Sprintf("there are %d, and drill %d found %d in an earlier state", *r.Value, before.Number, *old.Value))
			return found(*r)
		}
	}
	return nil
}

// comparable is the newest piece of evidence that counted an earlier state of the same database.
func (d *drill) comparable() (*Evidence, error) {
	copies, _, err := d.o.held()
	if err != nil || d.e.Snapshot == nil || d.e.Snapshot.Database == nil {
		return nil, err
	}
	for n := last(copies); n > 0; n-- {
		_, e, err := d.o.parse(n, copies[n])
		if err != nil || e.Verdict == Failed || e.Snapshot == nil || e.Snapshot.Database == nil || e.Point == nil {
			continue
		}
		same := e.Snapshot.Database.System == d.e.Snapshot.Database.System && e.Snapshot.Database.Timeline == d.e.Snapshot.Database.Timeline
		if same && e.Point.Reached.Before(d.e.Point.Reached) {
			return e, nil
		}
	}
	return nil, nil
}

// Span renders seconds for people.
func Span(seconds float64) string {
	value, unit := seconds, "s"
	for _, next := range []struct {
		size, from float64
		unit       string
	}{{60, 120, "min"}, {60, 120, "h"}, {24, 96, "days"}} {
		if value < next.from {
			break
		}
		value, unit = value/next.size, next.unit
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + " " + unit
}
