package backup_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"practicectl/backup"
	"practicectl/internal/objstore"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// TestO5_WhatOneStoreHasDamagedIsReadFromAnother damages half of the objects in each of two stores, never the same in both.
func TestO5_WhatOneStoreHasDamagedIsReadFromAnother(t *testing.T) {
	st, folder := dirStore(t)
	g := newRig(t, st)
	g.packSize = 64 << 10
	root := writeFiles(t, 7)
	g.run(backup.Source{Paths: []string{root}})
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, key := range objects(t, folder) {
		if strings.HasPrefix(key, "i/") || strings.HasPrefix(key, "r") {
			continue // no restore needs the index; whose repository it is cannot come from elsewhere
		}
		n++
		path := filepath.Join([]string{folder, copied}[n%2], filepath.FromSlash(key))
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_ = os.Chmod(path, 0o600)
		if data[len(data)/2] ^= 4; n%3 == 0 && !strings.HasPrefix(key, "s/") {
			err = os.Remove(path)
		} else {
			err = os.WriteFile(path, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n < 6 {
		t.Fatalf("only %d objects", n)
	}
	if _, err := backup.Verify(t.Context(), g.holder(), backup.VerifyOptions{}, progress.None); uerr.KindOf(err) != uerr.Integrity {
		t.Fatalf("one store alone: %v", err)
	}
	r := g.holder()
	r.Others = []objstore.Store{reopen(t, copied)}
	var mu sync.Mutex
	told := 0
	r.Instead = func(key string, other objstore.Store, why error) {
		mu.Lock()
		defer mu.Unlock()
		told++
		if uerr.KindOf(why) != uerr.Integrity || other != r.Others[0] {
			t.Errorf("%s: %v", key, why)
		}
	}
	plan, err := backup.PlanRestore(t.Context(), r, backup.Target{Snapshot: "latest", Dir: filepath.Join(t.TempDir(), "back")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Restore(t.Context(), plan, backup.RestoreOptions{Now: time.Now}, progress.None); err != nil {
		t.Fatal(err)
	}
	sameTree(t, root, filepath.Join(plan.Target, "files", root))
	if told == 0 {
		t.Error("nobody was told that the first store is damaged")
	}
}
