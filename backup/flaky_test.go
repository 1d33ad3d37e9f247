package backup_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"practicectl/backup"
	"practicectl/internal/objstore"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// flaky is a real store in which one request fails: the nth, before it is done or with its answer lost.
type flaky struct {
	objstore.Store
	nth    int64
	late   bool
	calls  atomic.Int64
	failed atomic.Bool
}

func (f *flaky) fails() bool {
	if f.calls.Add(1) != f.nth {
		return false
	}
	f.failed.Store(true)
	return true
}

var errLost = fmt.Errorf("%w: connection reset", objstore.ErrUnreachable)

func (f *flaky) Put(ctx context.Context, key string, r io.Reader, size int64, o objstore.PutOptions) (objstore.Info, error) {
	fails := f.fails()
	if fails && !f.late {
		return objstore.Info{}, errLost
	}
	info, err := f.Store.Put(ctx, key, r, size, o)
	if fails {
		return objstore.Info{}, errLost
	}
	return info, err
}

func (f *flaky) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if !f.fails() {
		return f.Store.Get(ctx, key, off, n)
	}
	if !f.late {
		return nil, errLost
	}
	rc, err := f.Store.Get(ctx, key, off, n)
	return broken{rc}, err
}

// broken gives one byte and then loses the connection.
type broken struct{ io.ReadCloser }

func (b broken) Read(p []byte) (int, error) {
	n, _ := b.ReadCloser.Read(p[:min(1, len(p))])
	return n, errLost
}

func (f *flaky) Stat(ctx context.Context, key string) (objstore.Info, error) {
	fails := f.fails()
	if fails && !f.late {
		return objstore.Info{}, errLost
	}
	info, err := f.Store.Stat(ctx, key)
	if fails {
		return objstore.Info{}, errLost
	}
	return info, err
}

func (f *flaky) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return f.all(func() iter.Seq2[objstore.Info, error] { return f.Store.List(ctx, prefix) })
}

func (f *flaky) AllVersions(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return f.all(func() iter.Seq2[objstore.Info, error] { return f.Store.AllVersions(ctx, prefix) })
}

func (f *flaky) all(list func() iter.Seq2[objstore.Info, error]) iter.Seq2[objstore.Info, error] {
	fails := f.fails()
	return func(yield func(objstore.Info, error) bool) {
		if fails && !f.late {
			yield(objstore.Info{}, errLost)
			return
		}
		for info, err := range list() {
			if !yield(info, err) {
				return
			}
			if fails {
				break
			}
		}
		if fails {
			yield(objstore.Info{}, errLost)
		}
	}
}

func (f *flaky) DeleteVersion(ctx context.Context, key, version string) error {
	fails := f.fails()
	if fails && !f.late {
		return errLost
	}
	err := f.Store.DeleteVersion(ctx, key, version)
	if fails {
		return errLost
	}
	return err
}

// TestO6_EveryRequestToTheStoreMayFail lets each request of a backup and of a restore fail, one after the other.
func TestO6_EveryRequestToTheStoreMayFail(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("answer lost %v", late), func(t *testing.T) {
			st, _ := dirStore(t)
			g := newRig(t, st)
			g.packSize = smallPack
			root := writeFiles(t, 13)
			src := backup.Source{Paths: []string{root}}
			g.run(src)
			requests := 0
			for n := int64(1); ; n++ {
				fresh := filepath.Join(root, "neu")
				if err := os.WriteFile(fresh, []byte(fmt.Sprintf("%s Lauf %d", filepath.Base(t.Name()), n)), 0o600); err != nil {
					t.Fatal(err)
				}
				f := &flaky{Store: st, nth: n, late: late}
				r, err := backup.Open(t.Context(), f, g.keys)
				if err == nil {
					_, err = backup.Run(t.Context(), r, src, g.options(), progress.None)
				}
				if !f.failed.Load() {
					if err != nil {
						t.Fatalf("nothing failed and the run did: %v", err)
					}
					break
				}
				requests++
				if uerr.KindOf(err) != uerr.Unreachable || uerr.HintOf(err) == "" {
					t.Errorf("request %d: %v", n, err)
				}
				if rep, err := backup.Verify(t.Context(), g.holder(), backup.VerifyOptions{References: true}, progress.None); err != nil {
					t.Fatalf("after request %d: %v", n, rep.Problems)
				}
			}
			if requests < 10 {
				t.Errorf("only %d requests", requests)
			}
			g.verifyAll()
			for n := int64(1); ; n++ {
				f := &flaky{Store: st, nth: n, late: late}
				target := filepath.Join(t.TempDir(), "neu")
				holder, err := backup.Open(t.Context(), f, backup.Keys{Identities: g.identities})
				var plan *backup.RestorePlan
				if err == nil {
					plan, err = backup.PlanRestore(t.Context(), holder, backup.Target{Snapshot: "latest", Dir: target})
				}
				if err == nil {
					_, err = backup.Restore(t.Context(), plan, backup.RestoreOptions{Now: time.Now}, progress.None)
				}
				if !f.failed.Load() {
					if err != nil {
						t.Fatal(err)
					}
					sameTree(t, root, filepath.Join(target, "files", root))
					break
				}
				if uerr.KindOf(err) != uerr.Unreachable {
					t.Errorf("restore, request %d: %v", n, err)
				}
				if _, err := os.Stat(target); err == nil {
					t.Errorf("restore, request %d: it was put in place", n)
				}
				// What was laid stays beside the target, and the next restore goes on there.
				_, laid := os.Stat(target + ".unverified")
				if rep := g.restore("latest", target, backup.RestoreOptions{}); rep.Resumed != (laid == nil) {
					t.Errorf("restore, request %d: resumed %v, but %v", n, rep.Resumed, laid)
				}
				sameTree(t, root, filepath.Join(target, "files", root))
			}
		})
	}
}

// slowLog is a real store that takes its time with log.
type slowLog struct{ objstore.Store }

func (s slowLog) Put(ctx context.Context, key string, r io.Reader, size int64, o objstore.PutOptions) (objstore.Info, error) {
	if strings.HasPrefix(key, "w/") {
		time.Sleep(700 * time.Millisecond)
	}
	return s.Store.Put(ctx, key, r, size, o)
}

// TestO6_ASlowStoreDoesNotBreakTheLog writes more log during the backup than the store takes in time.
func TestO6_ASlowStoreDoesNotBreakTheLog(t *testing.T) {
	c := testenv.PG(t, 15, testenv.Bootstrapped, testenv.Param("wal_sender_timeout", "300ms"))
	conn := connect(t, c)
	fill(t, conn, 200)
	st, _ := dirStore(t)
	g := newRig(t, slowLog{st})
	o := g.options()
	o.Crash = func(point string) {
		if point == "files read" {
			execSQL(t, conn, `CREATE TABLE burst AS SELECT i, repeat(md5(i::text), 60) AS filler FROM generate_series(1, 35000) i`)
		}
	}
	rep, err := backup.Run(t.Context(), g.host(), source(c), o, progress.None)
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Snapshot.WAL) < 4 {
		t.Errorf("only %d pieces of log", len(rep.Snapshot.WAL))
	}
	g.verifyAll()
	target := restoreFolder(t, c)
	g.restore("latest", target, backup.RestoreOptions{Own: own(c)})
	sameRows(t, dump(t, conn), dump(t, connect(t, startCopy(t, c, filepath.Join(target, "pg")))))
}
