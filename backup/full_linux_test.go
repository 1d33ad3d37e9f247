package backup_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"practicectl/backup"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

func TestO5_DiskFullIsSaidAndNothingIsLost(t *testing.T) {
	if !testenv.OwnMounts(t) {
		return
	}
	small := testenv.SmallDisk(t, t.TempDir(), "3m")
	g := newRig(t, reopen(t, small))
	g.packSize = smallPack
	src := backup.Source{Paths: []string{writeFiles(t, 12)}}

	// The store is full in the middle of a backup.
	_, err := backup.Run(t.Context(), g.host(), src, g.options(), progress.None)
	if uerr.ExitCode(err) != 16 || uerr.HintOf(err) == "" {
		t.Errorf("store full: %v", err)
	}
	if n := g.snapshots(); n != 0 {
		t.Errorf("%d snapshots", n)
	}
	if err := unix.Mount("tmpfs", small, "tmpfs", unix.MS_REMOUNT, "size=60m"); err != nil {
		t.Fatal(err)
	}
	rep := g.run(src)
	all := int64(0)
	for _, p := range rep.Snapshot.Packs {
		all += p.Size
	}
	if rep.Uploaded > all-1<<20 {
		t.Errorf("the next run did not use what was stored: %d bytes of %d", rep.Uploaded, all)
	}
	g.verifyAll()

	// The disk of the cache is full.
	g.cache = testenv.SmallDisk(t, t.TempDir(), "1m,nr_inodes=3")
	_, err = backup.Run(t.Context(), g.host(), src, g.options(), progress.None)
	if uerr.ExitCode(err) != 16 {
		t.Errorf("cache full: %v", err)
	}

	// The target's disk is too small from the start: told before anything is read.
	target := filepath.Join(testenv.SmallDisk(t, t.TempDir(), "8m"), "neu")
	if _, err := g.tryRestore(t.Context(), "latest", target, backup.RestoreOptions{}); uerr.ExitCode(err) != 16 || uerr.HintOf(err) == "" {
		t.Errorf("target too small: %v", err)
	}
	// It becomes full while the copy is laid down.
	disk := testenv.SmallDisk(t, t.TempDir(), "90m")
	target = filepath.Join(disk, "neu")
	filled := false
	_, err = g.tryRestore(t.Context(), "latest", target, backup.RestoreOptions{Own: func(string) error {
		if !filled {
			filled = true
			if f, err := os.Create(filepath.Join(disk, "filler")); err == nil {
				_, _ = f.Write(make([]byte, 87<<20))
				_ = f.Close()
			}
		}
		return nil
	}})
	if uerr.ExitCode(err) != 16 {
		t.Errorf("target full: %v", err)
	}
	for _, path := range []string{target, target + ".unverified"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s was left", path)
		}
	}
}

// TestO5_ADiskThatFillsUpInPlaceLeavesWhatWasThere: while the way back is kept nothing has changed yet, and later it is taken.
func TestO5_ADiskThatFillsUpInPlaceLeavesWhatWasThere(t *testing.T) {
	if !testenv.OwnMounts(t) {
		return
	}
	st, _ := dirStore(t)
	g := newRig(t, st)
	root := writeFiles(t, 12)
	g.run(backup.Source{Paths: []string{root}})
	disk := testenv.SmallDisk(t, t.TempDir(), "60m")
	target := filepath.Join(disk, "neu")
	g.restore("latest", target, backup.RestoreOptions{})
	laid := filepath.Join(target, "files", root)
	spoil := func(name string, at int64) {
		f, err := os.OpenFile(filepath.Join(laid, name), os.O_RDWR, 0)
		if err == nil {
			_, err = f.WriteAt(make([]byte, 1<<20), at)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	spoil("doppelt", 1<<20)
	spoil("groß/bild.bin", 2<<20)
	if err := os.Remove(filepath.Join(laid, "genau")); err != nil {
		t.Fatal(err)
	}
	before := state(t, target)
	fill := func(leave int64) {
		var free unix.Statfs_t
		if err := unix.Statfs(disk, &free); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(disk, "filler"), make([]byte, int64(free.Bavail)*int64(free.Bsize)-leave), 0o600); err != nil { //nolint:unconvert // differs between systems
			t.Fatal(err)
		}
	}
	inPlace := func(o backup.RestoreOptions) error {
		plan, err := backup.PlanRestore(t.Context(), g.holder(), backup.Target{Snapshot: "latest", Dir: target, InPlace: true})
		if err != nil {
			t.Fatal(err)
		}
		o.Now = time.Now
		_, err = backup.Restore(t.Context(), plan, o, progress.None)
		return err
	}
	refused := func(when string, err error) {
		t.Helper()
		if uerr.ExitCode(err) != 16 || uerr.HintOf(err) == "" {
			t.Errorf("%s: %v", when, err)
		}
		if err := os.RemoveAll(filepath.Join(disk, "filler")); err != nil {
			t.Fatal(err)
		}
		sameState(t, before, state(t, target))
		gone(t, target+".undo")
	}
	fill(1 << 20)
	refused("told before", inPlace(backup.RestoreOptions{}))
	// Somebody takes the room while the way back is being kept, and once it is kept.
	refused("while keeping", inPlace(backup.RestoreOptions{Crash: func(point string) {
		if point == "journal begun" {
			fill(1 << 20)
		}
	}}))
	refused("while laying", inPlace(backup.RestoreOptions{Crash: func(point string) {
		if point == "journal complete" {
			fill(64 << 10)
		}
	}}))
	if err := inPlace(backup.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	sameTree(t, root, laid)
}
