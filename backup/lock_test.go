package backup_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"practicectl/backup"
	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// counted is a real store whose requests are counted. With forgets it drops locks that it is asked for, unseen.
type counted struct {
	objstore.Store
	mu       sync.Mutex
	requests int
	extended []string
	forgets  bool
}

func (c *counted) count() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
}

func (c *counted) Put(ctx context.Context, key string, r io.Reader, size int64, o objstore.PutOptions) (objstore.Info, error) {
	c.count()
	if c.forgets {
		o.RetainUntil = time.Time{}
	}
	return c.Store.Put(ctx, key, r, size, o)
}

func (c *counted) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	c.count()
	return c.Store.Get(ctx, key, off, n)
}

func (c *counted) Stat(ctx context.Context, key string) (objstore.Info, error) {
	c.count()
	return c.Store.Stat(ctx, key)
}

func (c *counted) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	c.count()
	return c.Store.List(ctx, prefix)
}

func (c *counted) Retain(ctx context.Context, key, version string, until time.Time) error {
	c.count()
	c.mu.Lock()
	c.extended = append(c.extended, key)
	c.mu.Unlock()
	return c.Store.Retain(ctx, key, version, until)
}

// lockRig is a repository in a bucket of a real server, which locks objects or not.
type lockRig struct {
	*rig
	server *testenv.S3Server
	bucket string
	store  *counted
	src    backup.Source
	now    time.Time
}

const day = 24 * time.Hour

func newLockRig(t *testing.T, lock bool) *lockRig {
	t.Helper()
	l := &lockRig{server: testenv.S3(t)}
	l.bucket = l.server.NewBucket(t, lock)
	l.store = &counted{Store: l.server.Open(t, l.bucket, "praxis")}
	l.rig = newRig(t, l.store)
	l.keys.Pin.ObjectLock = true
	l.packSize = smallPack
	l.src = backup.Source{Paths: []string{writeFiles(t, 21)}}
	y, m, _ := time.Now().UTC().Date()
	l.now = time.Date(y, m+1, 2, 2, 0, 0, 0, time.UTC) // locks lie in the future of the server as well
	return l
}

// at takes a snapshot at another time and tells the requests and the locks extended.
func (l *lockRig) at(now time.Time) (backup.Report, int, []string, error) {
	l.t.Helper()
	l.store.requests, l.store.extended = 0, nil
	o := l.options()
	o.Now = func() time.Time { return now }
	rep, err := backup.Run(l.t.Context(), l.host(), l.src, o, progress.None)
	return rep, l.store.requests, l.store.extended, err
}

func (l *lockRig) must(now time.Time) (backup.Report, int, []string) {
	l.t.Helper()
	rep, requests, extended, err := l.at(now)
	if err != nil {
		l.t.Fatal(err)
	}
	return rep, requests, extended
}

// lockedUntil asks the server for the lock of each object that rep needs.
func (l *lockRig) lockedUntil(rep backup.Report, least time.Time) {
	l.t.Helper()
	keys := []string{rep.Key, repo.RootKey, repo.SettingsKey(1)}
	for _, p := range rep.Snapshot.Packs {
		keys = append(keys, p.ID.Key())
	}
	for _, key := range keys {
		info, err := l.store.Store.Stat(l.t.Context(), key)
		if err != nil || info.RetainUntil.Before(least) {
			l.t.Errorf("%s is locked until %s, not %s: %v", key, info.RetainUntil, least, err)
		}
	}
}

// TestO7_NobodyCanDeleteWhatASnapshotNeeds: all objects are locked for the time of the class, and extended when it is due.
func TestO7_NobodyCanDeleteWhatASnapshotNeeds(t *testing.T) {
	l := newLockRig(t, true)
	first, _, extended := l.must(l.now)
	if h := first.Snapshot; h.Class != "monthly" || !h.LockedUntil.Equal(l.now.Add(744*day)) || len(h.Packs) < 3 || len(extended) != 2 {
		t.Errorf("first: %s until %s, %d packs, extended %v", h.Class, h.LockedUntil, len(h.Packs), extended)
	}
	l.lockedUntil(first, l.now.Add(744*day))
	for _, p := range first.Snapshot.Packs {
		if p.Version == "" {
			t.Fatalf("no version of %s is recorded", p.ID)
		}
	}
	victim := first.Snapshot.Packs[0]
	if err := l.server.DeleteVersion(t.Context(), l.bucket, "praxis/"+victim.ID.Key(), victim.Version); err == nil {
		t.Error("a locked pack was deleted")
	}
	if err := l.store.Store.Retain(t.Context(), victim.ID.Key(), victim.Version, l.now); !errors.Is(err, objstore.ErrLocked) {
		t.Errorf("a lock was made shorter: %v", err)
	}

	second, requests, extended := l.must(l.now.Add(time.Hour))
	if h := second.Snapshot; h.Class != "daily" || len(extended) != 0 || requests > 20 || second.Uploaded > 64<<10 {
		t.Errorf("nothing changed: %s, %d requests, %d bytes, extended %v", h.Class, requests, second.Uploaded, extended)
	}
	// What is new is locked for a daily snapshot's time, and extended only when half of the quantum is gone.
	fresh := filepath.Join(l.src.Paths[0], "neu")
	if err := os.WriteFile(fresh, []byte(strings.Repeat("Befund ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	third, _, _ := l.must(l.now.Add(2 * time.Hour))
	l.lockedUntil(third, l.now.Add(28*day))
	if _, _, extended := l.must(l.now.Add(3 * time.Hour)); len(extended) != 0 {
		t.Errorf("extended before it was due: %v", extended)
	}
	if err := os.RemoveAll(l.cache); err != nil { // costs requests, and nothing else
		t.Fatal(err)
	}
	if again, _, extended := l.must(l.now.Add(4 * time.Hour)); len(extended) != 0 || again.Uploaded > 64<<10 {
		t.Errorf("without a cache: %d bytes, extended %v", again.Uploaded, extended)
	}
	weekly, _, extended := l.must(l.now.Add(8 * day))
	if weekly.Snapshot.Class != "weekly" || len(extended) == 0 || len(extended) >= len(weekly.Snapshot.Packs) {
		t.Errorf("a week later: %s, extended %v", weekly.Snapshot.Class, extended)
	}
	l.lockedUntil(weekly, l.now.Add((8+63)*day))
	monthly, _, _ := l.must(l.now.Add(31 * day))
	if monthly.Snapshot.Class != "monthly" {
		t.Errorf("a month later: %s", monthly.Snapshot.Class)
	}
	l.lockedUntil(monthly, l.now.Add((31+737)*day))
	l.verifyAll()
}

// TestO7_AStoreThatStopsToLockIsNotTakenForOne: it refuses the locks, or ignores them without a word.
func TestO7_AStoreThatStopsToLockIsNotTakenForOne(t *testing.T) {
	l := newLockRig(t, false)
	if rep, _, _, err := l.at(l.now); uerr.KindOf(err) != uerr.WeakLock || rep.Key != "" || !strings.Contains(err.Error(), "no snapshot was taken") || uerr.HintOf(err) == "" {
		t.Errorf("the store refuses: %v", err)
	}
	l = newLockRig(t, true)
	l.store.forgets = true
	if rep, _, _, err := l.at(l.now); uerr.KindOf(err) != uerr.WeakLock || rep.Key != "" {
		t.Errorf("the store ignores: %v", err)
	}
	if items, err := backup.List(t.Context(), l.host()); err != nil || len(items) != 0 {
		t.Errorf("%d snapshots, %v", len(items), err)
	}
	l.store.forgets = false
	first, _, _ := l.must(l.now) // with what the failed run stored
	l.lockedUntil(first, l.now.Add(744*day))
	l.store.forgets = true
	// Nothing is stored before the commit, so the loss shows only at the snapshot itself.
	rep, _, _, err := l.at(l.now.Add(time.Hour))
	if uerr.KindOf(err) != uerr.WeakLock || rep.Key == "" || !strings.Contains(err.Error(), "the snapshot is stored") {
		t.Errorf("only the snapshot is not locked: %v", err)
	}
}
