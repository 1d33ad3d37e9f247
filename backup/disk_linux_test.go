package backup_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"practicectl/backup"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// everyChange calls do with the first, the second … change of the disk failing, until do changes less than that. check sees how each
// failure ended.
func everyChange(t *testing.T, disk *testenv.FaultDisk, do func() error, check func(what string, err error)) {
	t.Helper()
	seen := map[string]int{}
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
		for n := 1; ; n++ {
			disk.Fail(n, errno)
			err := do()
			what := disk.Failed()
			disk.Fail(0, 0)
			if what == "" {
				if err != nil {
					t.Fatalf("nothing failed and the work did: %v", err)
				}
				break
			}
			if errno == syscall.ENOSPC && what != "remove" && err != nil && uerr.KindOf(err) != uerr.NoSpace {
				t.Errorf("%s, the disk is full, said as: %v", what, err)
			}
			seen[what]++
			check(fmt.Sprintf("%s %d (%v)", what, n, errno), err)
			if t.Failed() {
				t.FailNow()
			}
		}
	}
	t.Logf("changes that failed, each twice: %v", seen)
	if seen["write"] == 0 || seen["rename"]+seen["link"] == 0 || seen["sync"] == 0 {
		t.Error("the work did not write, sync and place files on the faulty disk")
	}
}

// TestO6_EveryChangeOfTheCachesDiskMayFail lets each change that a backup makes in its cache fail, one after the other.
func TestO6_EveryChangeOfTheCachesDiskMayFail(t *testing.T) {
	disk := testenv.NewFaultDisk(t)
	st, _ := dirStore(t)
	g := newRig(t, st)
	g.packSize, g.cache = smallPack, filepath.Join(disk.Dir, "cache")
	root := writeFiles(t, 13)
	src := backup.Source{Paths: []string{root}}
	g.run(src)
	n := 0
	everyChange(t, disk, func() error {
		n++
		if err := os.WriteFile(filepath.Join(root, "neu"), fmt.Appendf(nil, "Lauf %d", n), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := backup.Run(t.Context(), g.host(), src, g.options(), progress.None)
		return err
	}, func(what string, err error) {
		if err != nil && uerr.KindOf(err) == uerr.Integrity {
			t.Errorf("%s: %v", what, err)
		}
		if rep, err := backup.Verify(t.Context(), g.holder(), backup.VerifyOptions{References: true}, progress.None); err != nil {
			t.Errorf("%s: %v", what, rep.Problems)
		}
	})
	g.run(src)
	g.verifyAll()
	target := filepath.Join(t.TempDir(), "neu")
	g.restore("latest", target, backup.RestoreOptions{})
	sameTree(t, root, filepath.Join(target, "files", root))
}

// TestO6_EveryChangeOfTheStoresDiskMayFail is the same for a store in a folder: a change that was not made durable is never
// taken for done.
func TestO6_EveryChangeOfTheStoresDiskMayFail(t *testing.T) {
	disk := testenv.NewFaultDisk(t)
	g := newRig(t, reopen(t, disk.Dir))
	g.packSize = smallPack
	root := writeFiles(t, 13)
	src := backup.Source{Paths: []string{root}}
	g.run(src)
	n := 0
	everyChange(t, disk, func() error {
		n++
		if err := os.WriteFile(filepath.Join(root, "neu"), fmt.Appendf(nil, "Lauf %d", n), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := backup.Run(t.Context(), g.host(), src, g.options(), progress.None)
		return err
	}, func(what string, err error) {
		if err == nil && !strings.HasPrefix(what, "remove") {
			t.Errorf("%s: the run took it for done", what)
		}
		if rep, err := backup.Verify(t.Context(), g.holder(), backup.VerifyOptions{References: true}, progress.None); err != nil {
			t.Errorf("%s: %v", what, rep.Problems)
		}
	})
	g.run(src)
	g.verifyAll()
}

// TestO5_EveryChangeOfTheTargetsDiskMayFail lets each change that a restore makes fail.
func TestO5_EveryChangeOfTheTargetsDiskMayFail(t *testing.T) {
	disk := testenv.NewFaultDisk(t)
	st, _ := dirStore(t)
	g := newRig(t, st)
	root := t.TempDir()
	for _, name := range []string{"a", "b/c", "b/leer"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("Inhalt von "+name), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a", filepath.Join(root, "verweis")); err != nil {
		t.Fatal(err)
	}
	g.run(backup.Source{Paths: []string{root}})
	n, target := 0, ""
	everyChange(t, disk, func() error {
		n++
		target = filepath.Join(disk.Dir, fmt.Sprintf("ziel-%d", n))
		_, err := g.tryRestore(t.Context(), "latest", target, backup.RestoreOptions{})
		return err
	}, func(what string, err error) {
		if err == nil {
			sameTree(t, root, filepath.Join(target, "files", root))
			return
		}
		if uerr.KindOf(err) == uerr.Integrity {
			t.Errorf("%s is said as damage of the repository: %v", what, err)
		}
		if _, serr := os.Stat(target); serr == nil {
			sameTree(t, root, filepath.Join(target, "files", root)) // in place already: then it is whole
			return
		}
		g.restore("latest", target, backup.RestoreOptions{}) // over what was left, if anything was
		sameTree(t, root, filepath.Join(target, "files", root))
	})
}
