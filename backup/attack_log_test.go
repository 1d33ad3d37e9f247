package backup_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"practicectl/backup"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// TestO7_AttacksOnTheLog: forged, forked, hidden and deleted log does not keep a database from being restored, and a fork of what
// the next snapshot needs is told.
func TestO7_AttacksOnTheLog(t *testing.T) {
	c := testenv.PG(t, 15, testenv.Bootstrapped)
	conn := connect(t, c)
	fill(t, conn, 200)
	a := newAttacked(t, newLockRig(t, true).server)
	saved := a.run(source(c))
	want := dump(t, conn)
	var log []string
	for _, o := range saved.Snapshot.WAL {
		log = append(log, o.Key)
	}
	if len(log) == 0 {
		t.Fatal("the snapshot needs no log")
	}
	for _, key := range log {
		data := a.get(key)
		a.put(key, bytes.Repeat([]byte{1}, len(data)))
		fork := key[:len(key)-1] + map[bool]string{true: "0", false: "1"}[!strings.HasSuffix(key, "0")]
		a.put(fork, data)
		if err := a.raw.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		for v, err := range a.raw.Versions(t.Context(), key) {
			if err != nil {
				t.Fatal(err)
			}
			if v.Size == int64(len(data)) && !v.Deleted && a.raw.DeleteVersion(t.Context(), key, v.Version) == nil {
				if left, err := a.raw.GetVersion(t.Context(), key, v.Version, 0, 1); err == nil {
					_ = left.Close()
					t.Error("a deleted version is still there")
				}
			}
		}
	}
	r, err := a.victim()
	if err != nil {
		t.Fatal(err)
	}
	target := restoreFolder(t, c)
	plan, err := backup.PlanRestore(t.Context(), r, backup.Target{Snapshot: saved.Snapshot.ID, Dir: target})
	if err != nil {
		t.Fatal(err)
	}
	o := backup.RestoreOptions{Own: own(c)}
	o.Now = a.options().Now
	if _, err := backup.Restore(t.Context(), plan, o, progress.None); err != nil {
		t.Fatal(err)
	}
	sameRows(t, want, dump(t, connect(t, startCopy(t, c, filepath.Join(target, "pg")))))
	if _, err := backup.Run(t.Context(), a.host(), source(c), a.options(), progress.None); err != nil && uerr.KindOf(err) != uerr.Fenced {
		t.Errorf("the next backup: %v", err)
	}
}
