package steps

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"practicectl/internal/diskspace"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// Run brings list to its end under the journal.
//
// With nothing unfinished it begins a transaction: each step in order is checked; a satisfied one is left alone, any other
// is announced, applied, verified and reported. When all hold, the transaction is committed. When one fails or ctx ends,
// everything applied is undone in reverse order, the failed step included, under a context that ctx cannot end.
//
// With an unfinished transaction, left by a crash, Run finishes that one: forward or back as [Options.Resume] says, but
// always back when it had begun to go back, and always forward past [Options.CommitAfter]. The list must then hold every
// step of the journal (going back: every step it has seen applied); make it again from the transaction's Params.
//
//	Committed,  nil  every step holds
//	Committed,  err  past CommitAfter, but a later step failed; run again to go on
//	RolledBack, err  everything is as before; err is why (also when an earlier process failed)
//	Stuck,      err  an undo or the journal itself failed; run again to try again
func Run(ctx context.Context, j *Journal, list []Step, p progress.Reporter) (Outcome, error) {
	if err := checkNames(list); err != nil {
		return RolledBack, err
	}
	if p == nil {
		p = progress.None
	}
	r := &runner{j: j, list: list, p: p, t: j.current(), resumed: j.current() != nil}
	if r.t == nil {
		if err := r.begin(); err != nil {
			return RolledBack, unwritten("begin", j.o.Job, err)
		}
	} else if err := r.matches(); err != nil {
		return Stuck, err
	}
	if r.goesBack() {
		why := errors.New("an earlier run was interrupted")
		if r.t.Failure != "" {
			why = fmt.Errorf("an earlier run failed in %q: %s", r.t.FailedIn, r.t.Failure)
		}
		return r.back(ctx, uerr.New(uerr.Failed, "undid", r.t.Job, why, "run the same command again"))
	}
	return r.forward(ctx)
}

type runner struct {
	j    *Journal
	t    *Transaction
	list []Step
	p    progress.Reporter
	// resumed: the transaction was begun by an earlier process.
	resumed bool
}

func (r *runner) begin() error {
	names := make([]string, len(r.list))
	for i, s := range r.list {
		names[i] = s.Name()
	}
	r.j.o.Crash("begin")
	err := r.j.append(Record{Txn: newTxnID(r.j.o.Now()), Event: EventBegin, Job: r.j.o.Job, Params: r.j.o.Params, Steps: names})
	r.j.o.Crash("begun")
	r.t = r.j.current()
	return err
}

// matches refuses a list that cannot finish or undo the open transaction.
func (r *runner) matches() error {
	want := r.t.Steps // going on needs the very same list
	if r.goesBack() {
		want = r.t.touched
	}
	have := make([]string, len(r.list))
	for i, s := range r.list {
		have[i] = s.Name()
	}
	for _, name := range want {
		if !slices.Contains(have, name) {
			return otherPlan(r.t.Job, fmt.Errorf("an unfinished run has step %q, which the new plan has not", name))
		}
	}
	if !r.goesBack() && len(have) != len(want) {
		return otherPlan(r.t.Job, errors.New("the new plan has more steps than the unfinished one"))
	}
	return nil
}

func otherPlan(job string, err error) error {
	return uerr.New(uerr.Precond, "go on with", job, err, "run the same command as the time before first")
}

func (r *runner) goesBack() bool {
	if r.pastCommit() {
		return false
	}
	return r.t.Back || r.resumed && r.j.o.Resume == Back
}

func (r *runner) pastCommit() bool {
	e := r.t.events[r.j.o.CommitAfter]
	return r.j.o.CommitAfter != "" && (e == EventDone || e == EventSatisfied)
}

func (r *runner) log(e Event, step, note string) error {
	err := r.j.append(Record{Txn: r.t.ID, Event: e, Step: step, Note: note})
	r.j.o.Crash(step + "/" + string(e))
	return err
}

func (r *runner) forward(ctx context.Context) (Outcome, error) {
	task := r.p.Task(r.t.Job, progress.Items, int64(len(r.list)))
	defer task.Done()
	for _, s := range r.list {
		if err := r.step(ctx, s); err != nil {
			if r.pastCommit() {
				return Committed, failed(s, err)
			}
			if lerr := r.log(EventFailed, s.Name(), err.Error()); lerr != nil {
				// The journal cannot be written: undo all the same. Every Undo is idempotent, so that the next run, which
				// knows nothing of it, may undo or go on from there.
				err = errors.Join(err, lerr)
			}
			return r.back(ctx, failed(s, err))
		}
		task.Add(1)
	}
	r.j.o.Crash("commit")
	if err := r.log(EventCommitted, "", ""); err != nil {
		return Stuck, unwritten("commit", r.t.Job, err)
	}
	return Committed, nil
}

func failed(s Step, err error) error {
	kind, hint := uerr.KindOf(err), uerr.HintOf(err)
	if kind == uerr.Failed && diskspace.IsFull(err) {
		kind, hint = uerr.NoSpace, freeSpace
	}
	return uerr.New(kind, s.Plan(), "", err, hint)
}

const freeSpace = "free some disk space, then run the same command again"

// unwritten says that the journal could not be written.
func unwritten(op, job string, err error) error {
	kind := uerr.KindOf(err)
	if diskspace.IsFull(err) {
		kind = uerr.NoSpace
	}
	return uerr.New(kind, op, job, err, freeSpace)
}

// step does one step unless it holds already.
func (r *runner) step(ctx context.Context, s Step) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	state, err := s.Check(ctx)
	if err != nil {
		return err
	}
	interrupted := r.t.events[s.Name()] == EventDoing
	switch {
	case state == Blocked:
		return errors.New("blocked")
	case state == Satisfied && !interrupted:
		if r.t.events[s.Name()] == EventDone {
			return nil // by the process before us
		}
		return r.log(EventSatisfied, s.Name(), "")
	case state == Satisfied:
		// Interrupted after its work and before its report: prove it, else do it again.
		if s.Verify(ctx) == nil {
			return r.log(EventDone, s.Name(), "")
		}
	}
	if err := r.log(EventDoing, s.Name(), s.Plan()); err != nil {
		return err
	}
	if err := s.Apply(ctx); err != nil {
		return err
	}
	r.j.o.Crash(s.Name() + "/applied")
	if err := s.Verify(ctx); err != nil {
		return err
	}
	if err := r.log(EventDone, s.Name(), ""); err != nil {
		return err
	}
	r.p.Note("%s", s.Plan())
	return nil
}

// back undoes what was applied, newest first, and returns why.
func (r *runner) back(ctx context.Context, why error) (Outcome, error) {
	ctx = context.WithoutCancel(ctx)
	r.p.Warn("going back: %v", why)
	for _, name := range slices.Backward(r.t.touched) {
		if r.t.events[name] == EventUndone {
			continue
		}
		s := r.list[slices.IndexFunc(r.list, func(s Step) bool { return s.Name() == name })]
		lerr := r.log(EventUndoing, name, "")
		if err := s.Undo(ctx); err != nil {
			_ = r.log(EventStuck, name, err.Error()) // best effort: the undo's error is the one to tell
			return Stuck, uerr.New(uerr.KindOf(why), "go back", name, errors.Join(err, why), "remove the cause, then run the same command again: it goes on undoing")
		}
		r.j.o.Crash(name + "/undo-applied")
		if lerr = errors.Join(lerr, r.log(EventUndone, name, "")); lerr != nil {
			why = errors.Join(why, lerr)
		}
	}
	r.j.o.Crash("rollback")
	if err := r.log(EventRolledBack, "", ""); err != nil {
		return Stuck, unwritten("end", r.t.Job, errors.Join(err, why))
	}
	return RolledBack, why
}
