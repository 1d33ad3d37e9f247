package backup_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"practicectl/backup"
	"practicectl/backup/restore"
	"practicectl/internal/objstore/storetest"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// manyFiles makes a folder with many small files.
func manyFiles(t testing.TB, n, size int) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "viele")
	rng := rand.New(rand.NewPCG(8, 8))
	for i := range n {
		path := filepath.Join(root, fmt.Sprintf("%02d", i%50), fmt.Sprintf("%06d", i))
		if i < 50 {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		data := make([]byte, size)
		for k := range data {
			data[k] = byte(rng.Uint32())
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// restoreThrough restores the newest snapshot through st.
func (g *rig) restoreThrough(t testing.TB, st *storetest.Faulty, target string) (backup.RestoreReport, error) {
	t.Helper()
	r, err := backup.Open(t.Context(), st, backup.Keys{Identities: g.identities[1:2]})
	if err != nil {
		return backup.RestoreReport{}, err
	}
	plan, err := backup.PlanRestore(t.Context(), r, backup.Target{Snapshot: "latest", Dir: target})
	if err != nil {
		return backup.RestoreReport{}, err
	}
	return backup.Restore(t.Context(), plan, backup.RestoreOptions{Now: time.Now}, progress.None)
}

// TestO5_ThousandsOfFilesAreFewRequests: over a line with long round trips it is the requests that take time. Every pack is asked
// for once, many at the same time, and the rest is a handful.
func TestO5_ThousandsOfFilesAreFewRequests(t *testing.T) {
	st, _ := dirStore(t)
	g := newRig(t, st)
	g.packSize = smallPack
	root := manyFiles(t, 4000, 2000)
	rep := g.run(backup.Source{Paths: []string{root}})
	f := storetest.NewFaulty(st)
	target := filepath.Join(t.TempDir(), "neu")
	if _, err := g.restoreThrough(t, f, target); err != nil {
		t.Fatal(err)
	}
	sameTree(t, root, filepath.Join(target, "files", root))
	packs := len(rep.Snapshot.Packs)
	asked := map[string]int{}
	for _, key := range f.Keys(storetest.Get) {
		if strings.HasPrefix(key, "p/") {
			asked[key]++
		}
	}
	for key, n := range asked {
		if n > 2 {
			t.Errorf("%s was asked for %d times", key, n)
		}
	}
	if all := f.Calls(storetest.Get) + f.Calls(storetest.List) + f.Calls(storetest.Stat); packs < 5 || all > 2*packs+10 {
		t.Errorf("%d requests for %d packs", all, packs)
	}
}

// TestO5_AnInterruptedRestoreGoesOn kills a real process at every point of a restore. The next run fetches only what is missing.
func TestO5_AnInterruptedRestoreGoesOn(t *testing.T) {
	c := testenv.PG(t, 15, testenv.Bootstrapped)
	conn := connect(t, c)
	fill(t, conn, 1500)
	st, folder := dirStore(t)
	g := newRig(t, st)
	g.packSize = smallPack
	g.run(source(c, writeFiles(t, 21)))
	whole := restoreFolder(t, c)
	full := g.restore("latest", whole, backup.RestoreOptions{})
	want := state(t, whole)
	for i, point := range restore.Points {
		if point == "proved" {
			continue
		}
		t.Run(point, func(t *testing.T) {
			target := restoreFolder(t, c)
			if !killed(t, job{Store: folder, Cred: g.cred, Point: point, Restore: &restoreJob{Identity: g.secret(1), Target: target}}) {
				t.Fatal("the point was not reached")
			}
			if point == "in place" {
				sameState(t, want, state(t, target))
				return
			}
			f := storetest.NewFaulty(st)
			rep, err := g.restoreThrough(t, f, target)
			if err != nil {
				t.Fatal(err)
			}
			if !rep.Resumed || i >= 2 && rep.Written > full.Written/100 || i >= 2 && rep.Read > full.Read/4 {
				t.Errorf("resumed %v: %d bytes written and %d read, of %d and %d", rep.Resumed, rep.Written, rep.Read, full.Written, full.Read)
			}
			sameState(t, want, state(t, target))
			gone(t, target+restore.Suffix)
		})
	}
	t.Run("half of the packs", func(t *testing.T) {
		target := restoreFolder(t, c)
		f := storetest.NewFaulty(st)
		if _, err := g.restoreThrough(t, f, restoreFolder(t, c)); err != nil {
			t.Fatal(err)
		}
		all := f.Calls(storetest.Get)
		f = storetest.NewFaulty(st, storetest.Rule{Op: storetest.Get, Prefix: "p/", Nth: all / 2, Err: errLost})
		if _, err := g.restoreThrough(t, f, target); uerr.KindOf(err) != uerr.Unreachable || uerr.HintOf(err) == "" {
			t.Fatalf("got %v", err)
		}
		f = storetest.NewFaulty(st)
		rep, err := g.restoreThrough(t, f, target)
		if err != nil || !rep.Resumed {
			t.Fatal(err)
		}
		if n := f.Calls(storetest.Get); n > all*3/4+4 {
			t.Errorf("%d of %d requests again", n, all)
		}
		sameState(t, want, state(t, target))
	})
	t.Run("another snapshot", func(t *testing.T) {
		target := restoreFolder(t, c)
		if !killed(t, job{Store: folder, Cred: g.cred, Point: "files laid", Restore: &restoreJob{Identity: g.secret(1), Target: target}}) {
			t.Fatal("the point was not reached")
		}
		execSQL(t, conn, `UPDATE account SET note = 'neu' WHERE id = 5`)
		g.run(source(c))
		if rep := g.restore("latest", target, backup.RestoreOptions{}); rep.Resumed {
			t.Error("it went on with another snapshot")
		}
	})
}

// TestO5_SingleFilesComeBack restores files by pattern, and reads little for it.
func TestO5_SingleFilesComeBack(t *testing.T) {
	st, _ := dirStore(t)
	g := newRig(t, st)
	root := writeFiles(t, 31)
	g.run(backup.Source{Paths: []string{root}})
	pattern := "files" + root
	for name, test := range map[string]struct {
		pattern string
		want    []string
	}{
		"a file":     {pattern + "/practice.toml", []string{"practice.toml"}},
		"by a star":  {pattern + "/c*", []string{"cred", "cred/key"}},
		"a folder":   {pattern + "/a/", []string{"a", "a/b", "a/b/c", "a/b/c/d"}},
		"a link":     {pattern + "/link", []string{"link"}},
		"by letters": {pattern + "/gen[a]u", []string{"genau"}},
	} {
		t.Run(name, func(t *testing.T) {
			target := filepath.Join(t.TempDir(), "neu")
			plan, err := backup.PlanRestore(t.Context(), g.holder(), backup.Target{Snapshot: "latest", Dir: target, Paths: []string{test.pattern}})
			if err != nil {
				t.Fatal(err)
			}
			rep, err := backup.Restore(t.Context(), plan, backup.RestoreOptions{Now: time.Now}, progress.None)
			if err != nil {
				t.Fatal(err)
			}
			got := state(t, filepath.Join(target, "files", root))
			delete(got, ".")
			if len(got) != len(test.want) || rep.Read > 2<<20 {
				t.Errorf("got %d entries, want %v; %d bytes read", len(got), test.want, rep.Read)
			}
			all := state(t, root)
			for _, name := range test.want {
				if got[name] != all[name] {
					t.Errorf("%s differs", name)
				}
			}
		})
	}
	for pattern, kind := range map[string]uerr.Kind{"files/nothing": uerr.NotFound, "[": uerr.Usage, "/etc": uerr.Usage} {
		_, err := backup.PlanRestore(t.Context(), g.holder(), backup.Target{Snapshot: "latest", Dir: filepath.Join(t.TempDir(), "x"), Paths: []string{pattern}})
		if uerr.KindOf(err) != kind || uerr.HintOf(err) == "" {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}
