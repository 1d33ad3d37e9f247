package backup_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"practicectl/backup"
	"practicectl/backup/collect"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// readyToPrune is a repository in which a prune has everything to do: snapshots to forget, objects that are due, and new garbage.
func readyToPrune(t *testing.T) (p *pruneRig, folder string, at time.Time) {
	t.Helper()
	st, folder := dirStore(t)
	p = newPruneRig(t, st)
	p.write("stays", 1, 100<<10)
	for i := range 20 {
		p.write("changes", 200+i/3, 60<<10)
		p.night(firstNight.Add(time.Duration(i) * day))
	}
	at = firstNight.Add(20 * day)
	p.prune(at)
	for i := range 12 {
		p.write("changes", 300+i/3, 60<<10)
		p.night(at.Add(time.Duration(i)*day + time.Hour))
	}
	return p, folder, at.Add(12 * day)
}

// fork is the same repository in a copy of its folder.
func (p *pruneRig) fork(t *testing.T, folder string) *pruneRig {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(copied, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	g := *p.rig
	out := &pruneRig{rig: &g, clock: newClocked(reopen(t, copied), p.clock.now), src: p.src}
	out.clock.times = maps.Clone(p.clock.times)
	out.store, out.t = out.clock, t
	return out
}

// settled prunes until nothing is left to do, with doubts accepted, and lists what is left; lists of garbage have random names, so
// only their number is told.
func (p *pruneRig) settled(at time.Time, accept []string) []string {
	p.t.Helper()
	for i := range 4 {
		then := at.Add(time.Duration(i) * 8 * day)
		o := p.pruneOptions(then)
		o.Accept = accept
		if _, err := p.tryPrune(then, o); err != nil {
			p.t.Fatal(err)
		}
	}
	p.verifyAll()
	var keys []string
	for _, prefix := range []string{"p/", "n/", "s/"} {
		keys = append(keys, p.stored(prefix)...)
	}
	return append(keys, fmt.Sprintf("%d lists", len(p.stored("t/"))))
}

// TestO7_EveryRequestOfAPruneMayFail lets each one fail, before it is done and with its answer lost. No snapshot that stays is
// lost, and the next run finishes.
func TestO7_EveryRequestOfAPruneMayFail(t *testing.T) {
	p, folder, at := readyToPrune(t)
	o := p.pruneOptions(at)
	o.Accept = []string{"stale"} // of the later runs
	want := p.fork(t, folder).settled(at, o.Accept)
	if len(want) < 10 {
		t.Fatalf("only %v", want)
	}
	for _, late := range []bool{false, true} {
		requests := 0
		for n := int64(1); ; n++ {
			g := p.fork(t, folder)
			f := &flaky{Store: g.clock, nth: n, late: late}
			r, err := backup.Open(t.Context(), f, g.keys)
			g.clock.now = at
			var plan *backup.PrunePlan
			if err == nil {
				plan, err = backup.PlanPrune(t.Context(), r, o)
			}
			if err == nil {
				_, err = plan.Run(t.Context(), progress.None)
			}
			if !f.failed.Load() {
				if err != nil {
					t.Fatalf("nothing failed and the run did: %v", err)
				}
				break
			}
			requests++
			if err != nil && uerr.KindOf(err) != uerr.Unreachable {
				t.Errorf("request %d: %v", n, err)
			}
			if rep, err := backup.Verify(t.Context(), g.holder(), backup.VerifyOptions{References: true}, progress.None); err != nil {
				t.Fatalf("after request %d: %v", n, rep.Problems)
			}
			if n%7 != 1 {
				continue // the end is looked at after every seventh
			}
			if got := g.settled(at.Add(time.Hour), o.Accept); !slices.Equal(got, want) {
				t.Errorf("after request %d this is left:\n%v\nwant\n%v", n, got, want)
			}
		}
		if requests < 40 {
			t.Errorf("only %d requests", requests)
		}
	}
}

// TestO7_APruneMayBeKilledAnywhere kills a real process at every point.
func TestO7_APruneMayBeKilledAnywhere(t *testing.T) {
	p, folder, _ := readyToPrune(t)
	for _, point := range collect.Points {
		for _, nth := range []int{1, 3} {
			if nth == 3 && point != "object removed" && point != "snapshot forgotten" {
				continue
			}
			t.Run(fmt.Sprintf("%s %d", strings.ReplaceAll(point, " ", "-"), nth), func(t *testing.T) {
				copied := filepath.Join(t.TempDir(), "store")
				if err := os.CopyFS(copied, os.DirFS(folder)); err != nil {
					t.Fatal(err)
				}
				makeOld(t, copied, time.Now().Add(-30*day))
				j := job{Store: copied, Cred: p.cred, Point: point, Nth: nth, Prune: true}
				if !killed(t, j) {
					t.Fatal("the point was not reached")
				}
				g := *p.rig
				g.t, g.store = t, reopen(t, copied)
				before := g.snapshots()
				g.verifyAll()
				makeOld(t, copied, time.Now().Add(-30*day)) // the lease of the dead run has ended
				j.Point = "never"
				if killed(t, j) {
					t.Fatal("the second run was killed")
				}
				if n := g.snapshots(); n == 0 || n > before {
					t.Errorf("%d snapshots, then %d", before, n)
				}
				g.verifyAll()
			})
		}
	}
}

// makeOld makes everything in a store's folder as old as at.
func makeOld(t *testing.T, folder string, at time.Time) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, at, at)
	})
	if err != nil {
		t.Fatal(err)
	}
}
