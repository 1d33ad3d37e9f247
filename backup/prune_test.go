package backup_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"practicectl/backup"
	"practicectl/backup/retain"
	"practicectl/internal/objstore"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// clocked is a real store whose clock the test sets: objects have the times at which the test's clock stood when they were stored.
type clocked struct {
	objstore.Store
	mu    sync.Mutex
	now   time.Time
	times map[string]time.Time // by key, and by key and version
}

func newClocked(st objstore.Store, now time.Time) *clocked {
	return &clocked{Store: st, now: now, times: map[string]time.Time{}}
}

func (c *clocked) Put(ctx context.Context, key string, r io.Reader, size int64, o objstore.PutOptions) (objstore.Info, error) {
	info, err := c.Store.Put(ctx, key, r, size, o)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.times[key], c.times[key+" "+info.Version] = c.now, c.now
	}
	return info, err
}

func (c *clocked) Delete(ctx context.Context, key string) error {
	err := c.Store.Delete(ctx, key)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times[key] = c.now
	return err
}

func (c *clocked) set(info objstore.Info) objstore.Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.times[info.Key+" "+info.Version]; ok {
		info.Modified = t
	} else if t, ok := c.times[info.Key]; ok {
		info.Modified = t
	}
	return info
}

func (c *clocked) Stat(ctx context.Context, key string) (objstore.Info, error) {
	info, err := c.Store.Stat(ctx, key)
	return c.set(info), err
}

func (c *clocked) StatVersion(ctx context.Context, key, version string) (objstore.Info, error) {
	info, err := c.Store.StatVersion(ctx, key, version)
	return c.set(info), err
}

func (c *clocked) all(list iter.Seq2[objstore.Info, error]) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		for info, err := range list {
			if !yield(c.set(info), err) {
				return
			}
		}
	}
}

func (c *clocked) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return c.all(c.Store.List(ctx, prefix))
}

func (c *clocked) Versions(ctx context.Context, key string) iter.Seq2[objstore.Info, error] {
	return c.all(c.Store.Versions(ctx, key))
}

func (c *clocked) AllVersions(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return c.all(c.Store.AllVersions(ctx, prefix))
}

// pruneRig is a repository whose store's clock the test sets.
type pruneRig struct {
	*rig
	clock *clocked
	src   backup.Source
}

var firstNight = time.Date(2026, 6, 1, 2, 0, 0, 0, time.UTC) // a Monday

func newPruneRig(t *testing.T, st objstore.Store) *pruneRig {
	t.Helper()
	p := &pruneRig{clock: newClocked(st, firstNight)}
	p.rig = newRig(t, p.clock)
	p.packSize = smallPack
	p.src = backup.Source{Paths: []string{t.TempDir()}}
	return p
}

// write makes a file that compresses little.
func (p *pruneRig) write(name string, seed, size int) {
	p.t.Helper()
	data := make([]byte, 0, size)
	for i := 0; len(data) < size; i++ {
		data = fmt.Appendf(data, "%x", uint64(seed*1_000_003+i)*0x9E3779B97F4A7C15)
	}
	if err := os.WriteFile(filepath.Join(p.src.Paths[0], name), data, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// night takes a snapshot at a time of both clocks.
func (p *pruneRig) night(at time.Time) backup.Report {
	p.t.Helper()
	p.clock.now = at
	o := p.options()
	o.Now = func() time.Time { return at }
	rep, err := backup.Run(p.t.Context(), p.host(), p.src, o, progress.None)
	if err != nil {
		p.t.Fatal(err)
	}
	return rep
}

func (p *pruneRig) pruneOptions(at time.Time) backup.PruneOptions {
	return backup.PruneOptions{Policy: retain.Policy{Daily: 3, Weekly: 2, Least: day}, Log: 3 * day, Now: func() time.Time { return at }}
}

func (p *pruneRig) tryPrune(at time.Time, o backup.PruneOptions) (backup.PruneReport, error) {
	p.clock.now = at
	plan, err := backup.PlanPrune(p.t.Context(), p.host(), o)
	if err != nil {
		return backup.PruneReport{}, err
	}
	return plan.Run(p.t.Context(), progress.None)
}

func (p *pruneRig) prune(at time.Time) backup.PruneReport {
	p.t.Helper()
	rep, err := p.tryPrune(at, p.pruneOptions(at))
	if err != nil {
		p.t.Fatal(err)
	}
	return rep
}

// stored lists the keys under a prefix.
func (p *pruneRig) stored(prefix string) []string {
	p.t.Helper()
	var out []string
	for info, err := range p.store.List(p.t.Context(), prefix) {
		if err != nil {
			p.t.Fatal(err)
		}
		out = append(out, info.Key)
	}
	return out
}

// restoresAll restores every snapshot, and compares the newest one.
func (p *pruneRig) restoresAll() {
	p.t.Helper()
	p.verifyAll()
	target := filepath.Join(p.t.TempDir(), "x")
	p.restore("latest", target, backup.RestoreOptions{})
	sameTree(p.t, p.src.Paths[0], filepath.Join(target, "files", p.src.Paths[0]))
}

// TestO7_PruneRemovesInTwoPhases: snapshots go first, what only they needed is listed, and removed a week later.
func TestO7_PruneRemovesInTwoPhases(t *testing.T) {
	st, _ := dirStore(t)
	p := newPruneRig(t, st)
	p.write("stays", 1, 300<<10)
	for i := range 30 {
		p.write("changes", 100+i, 400<<10)
		p.night(firstNight.Add(time.Duration(i) * day))
	}
	last := firstNight.Add(29 * day)
	packs := len(p.stored("p/"))
	at := last.Add(time.Hour)
	plan, err := backup.PlanPrune(t.Context(), p.host(), p.pruneOptions(at))
	if err != nil || len(plan.Expire) < 20 || len(plan.Remove) != 0 || len(plan.Found) == 0 || plan.Empty() {
		t.Fatalf("the plan: %+v, %v", plan, err)
	}
	if n := p.snapshots(); n != 30 || len(p.stored("t/"))+len(p.stored("l/")) != 0 {
		t.Error("a plan writes")
	}
	first := p.prune(at)
	if first.Forgotten != len(plan.Expire) || first.Removed != 0 || first.Listed == 0 {
		t.Errorf("first: %+v", first)
	}
	if n := p.snapshots(); n != 30-first.Forgotten {
		t.Errorf("%d snapshots are left", n)
	}
	if len(p.stored("p/")) != packs {
		t.Error("packs went before their time")
	}
	if again := p.prune(at.Add(6 * day)); again.Forgotten != 0 || again.Removed != 0 {
		t.Errorf("within the week: %+v", again)
	}
	// What is listed counts as not stored: a file that comes back is stored again, in packs that are on no list.
	p.write("changes", 105, 400<<10)
	back := p.night(at.Add(6*day + time.Hour))
	if back.Uploaded < 100<<10 {
		t.Errorf("only %d bytes were stored of what is on a list", back.Uploaded)
	}
	second := p.prune(at.Add(7*day + time.Hour))
	if second.Removed == 0 || second.Freed < 1<<20 || len(p.stored("p/")) >= packs {
		t.Errorf("second: %+v", second)
	}
	p.restoresAll()
	// In the end there is nothing left to do, and no list.
	for i := range 5 {
		p.night(at.Add(time.Duration(8+i) * day))
	}
	for range 4 {
		at = at.Add(10 * day)
		p.night(at)
		p.prune(at.Add(time.Hour))
	}
	var needed []string
	all, err := backup.List(t.Context(), p.host())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		packs, err := p.host().Packs(t.Context(), *s.Snapshot)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range packs {
			needed = append(needed, k.ID.Key())
		}
	}
	slices.Sort(needed)
	if garbage := len(p.stored("p/")) - len(slices.Compact(needed)); garbage > 4 {
		t.Errorf("%d packs that nobody needs", garbage)
	}
	if index := p.stored("i/"); len(index) > 15 {
		t.Errorf("%d index segments are left", len(index))
	}
	p.cache = filepath.Join(t.TempDir(), "new")
	if rep := p.night(at.Add(2 * time.Hour)); rep.Uploaded > 64<<10 {
		t.Errorf("without a cache %d bytes were stored again", rep.Uploaded)
	}
	p.restoresAll()
}

// TestO7_ARunThatWasUnderWayKeepsWhatItUses: it began before the list and commits after it.
func TestO7_ARunThatWasUnderWayKeepsWhatItUses(t *testing.T) {
	st, _ := dirStore(t)
	p := newPruneRig(t, st)
	p.write("data", 1, 400<<10)
	p.night(firstNight)
	old := filepath.Join(p.src.Paths[0], "data")
	if err := os.Rename(old, old+".gone"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(old + ".gone")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(old + ".gone"); err != nil {
		t.Fatal(err)
	}
	p.write("other", 2, 1000)
	for i := 1; i < 12; i++ {
		p.night(firstNight.Add(time.Duration(i) * day))
	}
	if err := os.WriteFile(old, data, 0o600); err != nil { // it comes back
		t.Fatal(err)
	}
	at := firstNight.Add(12 * day)
	run := func(took time.Duration, meanwhile func()) error {
		p.clock.now = at
		began := true
		o := p.options()
		o.Now = func() time.Time {
			if began {
				return at
			}
			return at.Add(took)
		}
		o.Crash = func(point string) {
			if point == "files read" {
				began = false
				meanwhile()
				p.clock.now = at.Add(took)
			}
		}
		_, err := backup.Run(t.Context(), p.host(), p.src, o, progress.None)
		return err
	}
	policy := func(at time.Time) backup.PruneOptions {
		o := p.pruneOptions(at)
		o.Policy, o.Accept = retain.Policy{Daily: 3, Least: day}, []string{"shrunk"}
		return o
	}
	listed := false
	if err := run(2*day, func() {
		rep, err := p.tryPrune(at.Add(time.Hour), policy(at.Add(time.Hour)))
		if err != nil || rep.Forgotten == 0 || rep.Listed == 0 {
			t.Errorf("%+v, %v", rep, err)
		}
		listed = true
	}); err != nil || !listed {
		t.Fatal(err)
	}
	after := at.Add(8 * day)
	p.clock.now = after
	p.night(after)
	if rep, err := p.tryPrune(after.Add(time.Hour), policy(after.Add(time.Hour))); err != nil {
		t.Fatalf("%+v, %v", rep, err)
	}
	p.restoresAll()
	at = after.Add(day)
	if err := run(4*day, func() {}); uerr.KindOf(err) != uerr.Precond || uerr.HintOf(err) == "" {
		t.Errorf("a run of four days commits: %v", err)
	}
}

// TestO7_WhatIsHeldStays until the owner ends it.
func TestO7_WhatIsHeldStays(t *testing.T) {
	st, _ := dirStore(t)
	p := newPruneRig(t, st)
	p.write("x", 1, 1000)
	var held string
	for i := range 20 {
		rep := p.night(firstNight.Add(time.Duration(i) * day))
		if i == 3 {
			held = rep.Snapshot.ID
		}
	}
	at := firstNight.Add(20 * day)
	hold, err := backup.AddHold(t.Context(), p.host(), backup.HoldOptions{Snapshot: held[:8], Until: at.Add(100 * day), Reason: "court order 7", Now: at})
	if err != nil {
		t.Fatal(err)
	}
	p.prune(at)
	if _, err := p.host().Find(t.Context(), held); err != nil {
		t.Fatal("the held snapshot is gone")
	}
	if list, ignored, err := backup.Holds(t.Context(), p.host(), at); err != nil || len(list) != 1 || len(ignored) != 0 || list[0].ID != hold.ID || list[0].Reason != "court order 7" {
		t.Errorf("%+v %v %v", list, ignored, err)
	}
	for name, o := range map[string]backup.HoldOptions{
		"over":     {Snapshot: held, Until: at, Now: at},
		"too long": {Snapshot: held, Until: at.Add(day), Reason: strings.Repeat("x", 300), Now: at},
	} {
		if _, err := backup.AddHold(t.Context(), p.host(), o); uerr.KindOf(err) != uerr.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := backup.EndHolds(t.Context(), p.host(), held, filepath.Join(p.cred, "backup-signing.key"), at); uerr.KindOf(err) != uerr.Auth {
		t.Errorf("the host ends the hold: %v", err)
	}
	if ended, err := backup.EndHolds(t.Context(), p.host(), held, p.owner, at); err != nil || len(ended) != 1 {
		t.Fatalf("%v, %v", ended, err)
	}
	if _, err := backup.EndHolds(t.Context(), p.host(), held, p.owner, at); uerr.KindOf(err) != uerr.NotFound {
		t.Errorf("a second end: %v", err)
	}
	if rep := p.prune(at.Add(time.Hour)); rep.Forgotten != 1 {
		t.Errorf("after the end %d are forgotten", rep.Forgotten)
	}
}

// TestO7_PruneRefusesWhatItCannotJudge with the exit code of a loss that was prevented, and says how to go on.
func TestO7_PruneRefusesWhatItCannotJudge(t *testing.T) {
	st, folder := dirStore(t)
	p := newPruneRig(t, st)
	p.write("x", 1, 200<<10)
	var nights []backup.Report
	for i := range 20 {
		nights = append(nights, p.night(firstNight.Add(time.Duration(i)*day)))
	}
	if err := os.Truncate(filepath.Join(p.src.Paths[0], "x"), 100); err != nil {
		t.Fatal(err)
	}
	at := firstNight.Add(20 * day)
	nights = append(nights, p.night(at))
	o := p.pruneOptions(at)
	rep, err := p.tryPrune(at, o)
	if err != nil || rep.Forgotten != 0 || uerr.ExitCode(rep.Plan.Refusal()) != 18 || !strings.Contains(uerr.HintOf(rep.Plan.Refusal()), "--accept shrunk") {
		t.Errorf("%+v, %v, %v", rep, rep.Plan.Refusal(), err)
	}
	if n := p.snapshots(); n != 21 {
		t.Errorf("%d snapshots are left", n)
	}
	o.Accept = []string{"shrunk"}
	if rep, err := p.tryPrune(at, o); err != nil || rep.Forgotten == 0 || rep.Plan.Refusal() != nil {
		t.Errorf("accepted: %+v, %v", rep, err)
	}
	// A snapshot that others know and that cannot be read: what it needs cannot be told.
	victim := nights[19]
	path := filepath.Join(folder, filepath.FromSlash(victim.Key))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("rot"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.tryPrune(at, o); uerr.ExitCode(err) != 18 || !strings.Contains(uerr.HintOf(err), "--drop "+victim.Key) {
		t.Errorf("a damaged snapshot: %v", err)
	}
	// Another signature: what it names is kept.
	if err := os.WriteFile(path, []byte(strings.Replace(string(whole), "-- ed25519 ", "-- ed25519 AAAA", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	rep, err = p.tryPrune(at, o)
	if err != nil || len(rep.Plan.Unproved) != 1 || !rep.Plan.Unproved[0].Claims {
		t.Errorf("a forged snapshot: %+v, %v", rep, err)
	}
	o.Drop = []string{victim.Key}
	if rep, err = p.tryPrune(at, o); err != nil || rep.Forgotten != 1 {
		t.Errorf("given up: %+v, %v", rep, err)
	}
	p.restoresAll()
}

// TestO7_OneCollectionAtATime: the lease ends by itself, and stops nothing else.
func TestO7_OneCollectionAtATime(t *testing.T) {
	st, _ := dirStore(t)
	p := newPruneRig(t, st)
	p.write("x", 1, 1000)
	p.night(firstNight)
	at := firstNight.Add(day)
	o := p.pruneOptions(at)
	var inner error
	taken := 0
	o.Crash = func(point string) {
		if point != "lease taken" {
			return
		}
		if taken++; taken == 1 {
			_, inner = p.tryPrune(at.Add(time.Minute), p.pruneOptions(at.Add(time.Minute)))
			p.night(at.Add(2 * time.Minute)) // a backup does not care
		}
	}
	if _, err := p.tryPrune(at, o); err != nil {
		t.Fatal(err)
	}
	if uerr.KindOf(inner) != uerr.Locked || !strings.Contains(inner.Error(), "praxis-1") || uerr.HintOf(inner) == "" {
		t.Errorf("a second one: %v", inner)
	}
	o.Crash = func(point string) {
		if point == "lease taken" { // it stalls for an hour; another run takes over
			_, inner = p.tryPrune(at.Add(time.Hour), p.pruneOptions(at.Add(time.Hour)))
		}
	}
	if _, err := p.tryPrune(at.Add(10*time.Minute), o); uerr.KindOf(err) != uerr.Fenced || inner != nil {
		t.Errorf("the first goes on: %v; the second: %v", err, inner)
	}
	// Whoever squats on it stops the collection until it ends, and no longer.
	p.clock.now = at.Add(2 * time.Hour)
	if _, err := p.store.Put(t.Context(), "l/collect", strings.NewReader("mine"), 4, objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.tryPrune(at.Add(2*time.Hour+time.Minute), p.pruneOptions(at)); uerr.KindOf(err) != uerr.Locked {
		t.Errorf("squatted: %v", err)
	}
	p.prune(at.Add(3 * time.Hour))
}
