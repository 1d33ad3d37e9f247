package updater

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// fakeCluster is a folder with the shape of a stopped cluster; the real ones are in transact_test.go.
func fakeCluster(t *testing.T) wayBack {
	t.Helper()
	data := filepath.Join(t.TempDir(), "Prä fix", "pg")
	err := errors.Join(os.MkdirAll(filepath.Join(data, "base", "1"), 0o700), os.Mkdir(filepath.Join(data, "pg_wal"), 0o700),
		os.Mkdir(filepath.Join(data, "pg_tblspc"), 0o700),
		os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("18\n"), 0o600),
		os.WriteFile(filepath.Join(data, "base", "1", "2"), []byte("before"), 0o640))
	if err != nil {
		t.Fatal(err)
	}
	return wayBack{data: data, clone: reflink}
}

func (w wayBack) row(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.data, "base", "1", "2"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (w wayBack) alone(t *testing.T) {
	t.Helper()
	if left, _ := os.ReadDir(filepath.Dir(w.data)); len(left) != 1 {
		t.Errorf("left beside the cluster: %v", left)
	}
}

func change(t *testing.T, w wayBack) {
	t.Helper()
	err := errors.Join(os.WriteFile(filepath.Join(w.data, "base", "1", "2"), []byte("after"), 0o600),
		os.WriteFile(filepath.Join(w.data, "base", "1", "3"), []byte("new"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheWayBackBringsTheDataBackAndIsDropped(t *testing.T) {
	w := fakeCluster(t)
	if err := w.make(context.Background(), progress.None); err != nil {
		t.Fatal(err)
	}
	change(t, w)
	if err := w.restore(func(string) {}); err != nil {
		t.Fatal(err)
	}
	if got := w.row(t); got != "before" {
		t.Errorf("data are %q", got)
	}
	if st, err := os.Stat(filepath.Join(w.data, "base", "1", "2")); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(w.data, "base", "1", "3")); err == nil {
		t.Error("a file of the failed migration is still there")
	}
	w.alone(t)
	if err := errors.Join(w.restore(func(string) {}), w.drop()); err != nil || w.row(t) != "before" {
		t.Errorf("a second time: %v", err)
	}
}

func TestACrashAnywhereInTheRestoreLosesNothing(t *testing.T) {
	for _, point := range []string{"restore/discard", "restore/place", "restore/placed"} {
		w := fakeCluster(t)
		if err := w.make(context.Background(), progress.None); err != nil {
			t.Fatal(err)
		}
		change(t, w)
		func() {
			defer func() { _ = recover() }()
			_ = w.restore(func(p string) {
				if p == point {
					panic(p)
				}
			})
			t.Errorf("no crash at %s", point)
		}()
		if err := w.restore(func(string) {}); err != nil {
			t.Fatalf("%s: %v", point, err)
		}
		if got := w.row(t); got != "before" {
			t.Errorf("%s: data are %q", point, got)
		}
		w.alone(t)
	}
}

func TestAnUnfinishedCopyIsNeverRestored(t *testing.T) {
	w := fakeCluster(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.make(ctx, progress.None); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := os.MkdirAll(w.tmpPath(), 0o700); err != nil {
		t.Fatal(err)
	}
	change(t, w)
	if err := errors.Join(w.restore(func(string) {}), w.drop()); err != nil {
		t.Fatal(err)
	}
	if got := w.row(t); got != "after" {
		t.Errorf("data are %q", got)
	}
	w.alone(t)
}

func TestClustersThatACopyWouldNotHoldAreRefused(t *testing.T) {
	spoil := map[string]func(w wayBack) error{
		"running":    func(w wayBack) error { return os.WriteFile(filepath.Join(w.data, "postmaster.pid"), nil, 0o600) },
		"tablespace": func(w wayBack) error { return os.Symlink("/srv", filepath.Join(w.data, "pg_tblspc", "16400")) },
		"wal elsewhere": func(w wayBack) error {
			return errors.Join(os.Remove(filepath.Join(w.data, "pg_wal")), os.Symlink("/srv", filepath.Join(w.data, "pg_wal")))
		},
	}
	for name, spoil := range spoil {
		w := fakeCluster(t)
		if err := spoil(w); err != nil {
			t.Fatal(err)
		}
		if err := w.make(context.Background(), progress.None); uerr.KindOf(err) != uerr.Precond {
			t.Errorf("%s: %v", name, err)
		}
		w.alone(t)
	}
}
