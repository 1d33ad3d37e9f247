// Package drill restores a snapshot only to prove that it works, and leaves evidence of it.
//
// A drill lays a snapshot into a scratch folder, starts a real PostgreSQL on it that keeps to itself, asks everything that can be
// asked, measures how long that took and how much would have been lost, and removes all of it. What it found is signed,
// chained to what it found before, and kept here and in the repository.
package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"practicectl/backup"
	"practicectl/backup/proof"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// Options of a drill.
type Options struct {
	Keeper
	Dir        string // where the scratch instance goes; empty: below the state
	Snapshot   string // "latest", "random", or the beginning of an id
	To         string // one of Moments; empty: "random"
	Seed       uint64 // of everything that is left to chance
	Postgres   func(ctx context.Context, major int) (pgcluster.Binaries, error)
	Account    *pgcluster.Account // runs PostgreSQL when the caller is root
	Own        func(path string) error
	Invariants proof.Invariants
	RTO, RPO   time.Duration // the objectives; 0: none
	Program    string        // version of practicectl
	Now        func() time.Time
	Crash      func(point string) // called at the points where a crash is interesting; nil: none
}

// Points are the names that Options.Crash is called with, in their order.
var Points = []string{"scratch made", "laid", "recovered", "checked", "removed", "evidence written", "evidence stored"}

// Open opens the repository to drill. It is a func, because a repository that cannot be opened is a finding.
type Open func(ctx context.Context) (*backup.Repo, error)

// drill is one drill on its way.
type drill struct {
	o        Options
	p        progress.Reporter
	repo     *backup.Repo
	meter    *meter
	scratch  *scratch
	instance *proof.Instance
	e        Evidence
	step     string
	tampered error // what is wrong with the evidence of before
}

// Run drills once. Whatever happens, the scratch instance is removed and the evidence written, here and, when the store can be
// reached, there; the error says what the drill failed at. The caller holds the instance's drill lock. Error kinds: Integrity (a
// check found something), Overdue (an objective was missed), Auth, NotFound, NoSpace, Precond, Unreachable.
func Run(ctx context.Context, open Open, o Options, p progress.Reporter) (*Evidence, error) {
	if o.Dir == "" {
		o.Dir = filepath.Join(o.State, "scratch-instances")
	}
	d := &drill{o: o, p: p}
	n, err := sweep(ctx, o.State, o.Key, p.Warn)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		p.Note("removed %d scratch instances that killed drills had left", n)
	}
	before, err := o.Newest()
	if err != nil {
		return nil, err
	}
	d.e = Evidence{Began: o.Now().UTC(), Program: o.Program, Machine: runtime.GOOS + "/" + runtime.GOARCH, Seed: o.Seed, Phases: []Phase{}, Databases: []proof.Database{}, Checks: []proof.Result{},
		RTO: Objective{Limit: o.RTO.Seconds()}, RPO: Objective{Limit: o.RPO.Seconds()}}
	problem := d.work(ctx, open, before)
	problem = errors.Join(problem, d.clean(ctx))
	if d.repo == nil && before == nil {
		return nil, problem // it is not known whose drill this is
	}
	return &d.e, d.conclude(ctx, problem)
}

// work does the drill proper.
func (d *drill) work(ctx context.Context, open Open, before *Evidence) error {
	began := time.Now()
	if before != nil { // what can be said when the store cannot be opened
		d.e.Repository, d.e.Owner, d.e.Store = before.Repository, before.Owner, before.Store
	}
	var plan *backup.RestorePlan
	steps := []struct {
		name, says string
		do         func(context.Context) error
	}{
		{"open", "open the repository, choose a snapshot, read its trees", func(ctx context.Context) (err error) {
			if err = d.open(ctx, open, before); err == nil {
				plan, err = d.choose(ctx)
			}
			return err
		}},
		{"lay", "fetch, decrypt, prove and write every file", func(ctx context.Context) error { return d.lay(ctx, plan) }},
		{"recover", "start PostgreSQL and replay the log", func(ctx context.Context) error { return d.recover(ctx, plan) }},
		{"answer", "answer the first queries", d.answer},
		{"check", "check everything", d.check},
	}
	for _, s := range steps {
		if plan != nil && plan.Snapshot.Database == nil && s.name != "open" && s.name != "lay" {
			continue
		}
		d.step = s.name
		start := time.Now()
		err := s.do(ctx)
		d.e.Phases = append(d.e.Phases, Phase{Name: s.name, Says: s.says, Seconds: time.Since(start).Seconds()})
		if err != nil {
			return err
		}
		d.p.Note("%s: done in %s", s.says, Span(time.Since(start).Seconds()))
	}
	d.e.RTO.Seconds, d.e.RTO.Known = time.Since(began).Seconds(), true
	return nil
}

func (d *drill) open(ctx context.Context, open Open, before *Evidence) error {
	r, err := open(ctx)
	if err != nil {
		return err
	}
	if before != nil && (before.Repository != r.Root.ID || !before.Owner.Equal(r.Root.Owner)) {
		return uerr.New(uerr.Integrity, "drill", r.Store.String(), errors.New("it is not the repository that this machine drilled before"), "find out who put it there; for another repository take another --prefix")
	}
	metered := *r
	d.meter = &meter{Store: r.Store}
	metered.Store = d.meter
	d.repo = &metered
	d.e.Repository, d.e.Owner, d.e.Store = r.Root.ID, r.Root.Owner, r.Store.String()
	switch err := d.o.catchUp(ctx, r); uerr.KindOf(err) {
	case uerr.Integrity:
		d.tampered = err
		d.p.Warn("%v", err)
		return nil
	default:
		return err
	}
}

func (d *drill) lay(ctx context.Context, plan *backup.RestorePlan) error {
	rep, err := backup.Restore(ctx, plan, backup.RestoreOptions{Own: d.o.Own, Now: d.o.Now}, d.p)
	d.e.Transfer = d.meter.transfer()
	if err != nil {
		return d.room("lay the snapshot into", err)
	}
	d.e.Checks = append(d.e.Checks, proof.Result{Name: "signature", Says: "every page and every file is what the snapshot was signed for", At: "files", Looked: rep.Files})
	d.crash("laid")
	return nil
}

// room gives an error of a full disk the hint that helps a drill; another one stays as it is.
func (d *drill) room(op string, err error) error {
	if uerr.KindOf(err) != uerr.NoSpace {
		return err
	}
	return uerr.New(uerr.NoSpace, op, d.o.Dir, err, roomHint)
}

const roomHint = "name a folder on a larger disk with --dir"

func (d *drill) recover(ctx context.Context, plan *backup.RestorePlan) error {
	bin, err := d.o.Postgres(ctx, plan.Snapshot.Database.Major)
	if err != nil {
		return err
	}
	d.e.PostgreSQL = bin.Version
	d.instance, err = proof.Open(ctx, proof.Options{Bin: bin, Account: d.o.Account, Data: d.scratch.data(), Sockets: d.scratch.Sockets, Invariants: d.o.Invariants})
	if uerr.KindOf(err) == uerr.NoSpace {
		return d.room("start the restored database in", err)
	}
	if err != nil {
		return uerr.New(kindOr(err, uerr.Integrity), "start the restored database in", d.scratch.Dir, err, hintOr(err, "practicectl drill run --snapshot random, and practicectl backup verify"))
	}
	d.crash("recovered")
	return nil
}

func (d *drill) answer(ctx context.Context) (err error) {
	if d.e.Databases, err = d.instance.Databases(ctx); err != nil {
		return err
	}
	d.e.Point.Reached, d.e.Point.LSN, err = d.instance.Reached(ctx)
	if d.e.Point.Reached.IsZero() { // nothing was committed while the snapshot was taken
		d.e.Point.Reached = d.e.Snapshot.Created
	}
	if d.e.Snapshot.Chosen == newest && d.e.Point.Reached.After(d.e.Newest) {
		d.e.Newest = d.e.Point.Reached
	}
	return err
}

// check asks everything. The application's promises come before the structure, which adds extensions to the copy; the checksums
// come when the server has ended.
func (d *drill) check(ctx context.Context) error {
	alone, err := d.instance.Alone(ctx)
	if err != nil {
		return err
	}
	promises, err := d.instance.Promises(ctx)
	d.e.Checks = append(append(d.e.Checks, alone), promises...)
	if err != nil {
		return err
	}
	task := d.p.Task("check", progress.Items, 0)
	structure, err := d.instance.Structure(ctx, task)
	task.Done()
	d.e.Checks = append(d.e.Checks, structure...)
	if err != nil {
		return err
	}
	if err := d.instance.Stop(ctx); err != nil {
		return err
	}
	sums, err := d.instance.Checksums(ctx)
	d.e.Checks = append(d.e.Checks, sums)
	d.crash("checked")
	return err
}

// clean removes the scratch instance, whatever became of the drill.
func (d *drill) clean(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	if d.instance != nil {
		errs = append(errs, d.instance.Stop(ctx))
	}
	if d.scratch != nil {
		errs = append(errs, d.scratch.remove(ctx))
	}
	err := errors.Join(errs...)
	d.e.Removed = err == nil
	d.crash("removed")
	return err
}

func (d *drill) crash(point string) {
	if d.o.Crash != nil {
		d.o.Crash(point)
	}
}

// reachable refuses a parent folder that PostgreSQL's account could not reach into.
func reachable(dir string, account *pgcluster.Account) error {
	if account == nil {
		return nil
	}
	for path := dir; ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm()&0o001 == 0 {
			return uerr.New(uerr.Precond, "drill in", dir, fmt.Errorf("the account %s cannot pass through %s", account.Name, path), "name another place with --dir, or drill as an ordinary user")
		}
		if path == filepath.Dir(path) {
			return nil
		}
	}
}

func kindOr(err error, otherwise uerr.Kind) uerr.Kind {
	if k := uerr.KindOf(err); k != uerr.Failed {
		return k
	}
	return otherwise
}

func hintOr(err error, otherwise string) string {
	if h := uerr.HintOf(err); h != "" {
		return h
	}
	return otherwise
}
