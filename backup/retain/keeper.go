package retain

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"practicectl/backup/repo"
	"practicectl/internal/atomicfile"
	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

// requests is the number of locks extended at once.
const requests = 8

// Keeper is the store of one run. It is safe for concurrent use.
type Keeper struct {
	objstore.Store
	file  string // what is known about locks, kept between runs
	name  string // of the repository and the store that file is about
	now   time.Time
	until time.Time
	due   time.Time // a lock that ends before is extended

	mu      sync.Mutex
	known   map[string]lock
	changed bool
	samples [2]string // keys locked by this run: the last stored, the last extended
}

// lock is what is known about an object.
type lock struct {
	Version string    `json:"version,omitempty"`
	Until   time.Time `json:"until"`
}

// kept is the file in the cache.
type kept struct {
	Of    string          `json:"of"`
	Locks map[string]lock `json:"locks"`
}

// Open stands before the store of a repository for a run that began at now and takes a snapshot of class c. The folder cache
// keeps what is known about locks between runs; losing it costs a request for each object.
func Open(st objstore.Store, repository string, c Class, now time.Time, cache string) *Keeper {
	now = now.UTC().Truncate(time.Second)
	k := &Keeper{Store: st, file: filepath.Join(cache, "locks.json"), name: repository + " " + st.String(), now: now,
		until: now.Add(c.Period() + Quantum), due: now.Add(c.Period() + Quantum/2), known: map[string]lock{}}
	var f kept
	if data, err := os.ReadFile(k.file); err == nil && json.Unmarshal(data, &f) == nil && f.Of == k.name && f.Locks != nil {
		k.known = f.Locks
	}
	return k
}

// Until is the end of the locks that this run sets.
func (k *Keeper) Until() time.Time { return k.until }

// Put stores an object locked. Error kind: WeakLock when the store has no locks.
func (k *Keeper) Put(ctx context.Context, key string, r io.Reader, size int64, o objstore.PutOptions) (objstore.Info, error) {
	o.RetainUntil = k.until
	info, err := k.Store.Put(ctx, key, r, size, o)
	switch {
	case errors.Is(err, objstore.ErrUnsupported):
		return info, k.weak(key, err)
	case err == nil && info.Version != "":
		k.note(key, lock{info.Version, k.until}, 0)
	}
	return info, err
}

func (k *Keeper) note(key string, l lock, sample int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.known[key], k.changed, k.samples[sample] = l, true, key
}

// Extend locks those of the objects keys for longer whose locks end too soon for the class of the snapshot. Error kinds:
// WeakLock, Integrity (an object is not there), Auth, Unreachable.
func (k *Keeper) Extend(ctx context.Context, keys []string) error {
	var unknown []string
	due := map[string]lock{}
	k.mu.Lock()
	for _, key := range keys {
		l, ok := k.known[key]
		if !ok {
			unknown = append(unknown, key)
		} else if l.Until.Before(k.due) {
			due[key] = l
		}
	}
	k.mu.Unlock()
	below, err := k.shadowed(ctx, unknown)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for key, l := range due {
		g.Go(func() error { return k.extend(ctx, key, l) })
	}
	for _, key := range unknown {
		g.Go(func() error { return k.learn(ctx, key, below[key]) })
	}
	return g.Wait()
}

// learn finds out about an object that this cache knows nothing of, and extends its lock when that is due. versions are those of
// an object that something was put over, oldest first; nil: there is one.
func (k *Keeper) learn(ctx context.Context, key string, versions []string) error {
	if versions == nil {
		info, err := k.Store.Stat(ctx, key)
		if err != nil {
			return repo.StoreError(opExtend, k.Store, key, err)
		}
		return k.extend(ctx, key, lock{info.Version, info.RetainUntil})
	}
	// The first version of a pack or a list is the one that its name tells: nobody knows such a name before. Of others each may
	// be the right one.
	n := 1
	if !strings.HasPrefix(key, repo.PackPrefix) && !strings.HasPrefix(key, repo.PackListPrefix) {
		n = min(len(versions), mostVersions)
	}
	for i := n - 1; i >= 0; i-- { // the first one last: it is what is noted
		if err := k.extendBelow(ctx, key, versions[i]); err != nil {
			return err
		}
	}
	return nil
}

// extendBelow locks a version that something lies over. Some services do not show its lock, and refuse to shorten one with no
// other word than for missing rights; whoever has none of these does not get to store anything locked either.
func (k *Keeper) extendBelow(ctx context.Context, key, version string) error {
	err := k.extend(ctx, key, lock{Version: version})
	if uerr.KindOf(err) == uerr.Auth {
		k.note(key, lock{version, k.until}, 1)
		return nil
	}
	return err
}

// mostVersions bounds what is locked of an object under which others pile up.
const mostVersions = 8

const opExtend = "extend the locks of"

func (k *Keeper) extend(ctx context.Context, key string, l lock) error {
	if l.Until.Before(k.due) {
		err := k.Store.Retain(ctx, key, l.Version, k.until)
		switch {
		case errors.Is(err, objstore.ErrUnsupported):
			return k.weak(key, err)
		case err != nil && !errors.Is(err, objstore.ErrLocked): // locked for longer still is as good
			return repo.StoreError(opExtend, k.Store, key, err)
		}
		l.Until = k.until
	}
	k.note(key, l, 1)
	return nil
}

// shadowed finds those of the objects keys that something was put over, with their versions, oldest first. The newest version is
// then not the one to lock. Where the store does not tell this user, nothing is shadowed as far as anybody knows.
func (k *Keeper) shadowed(ctx context.Context, keys []string) (map[string][]string, error) {
	want, over, folders := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, key := range keys {
		want[key] = true
		folders[cmp.Or(key[:strings.LastIndexByte(key, '/')+1], key)] = true
	}
	out := map[string][]string{}
	for folder := range folders {
		for v, err := range k.Store.AllVersions(ctx, folder) {
			if err != nil && (objstore.KindOf(err) == uerr.Unreachable || ctx.Err() != nil) {
				return nil, repo.StoreError(opExtend, k.Store, folder, err)
			}
			if err != nil {
				break
			}
			if want[v.Key] {
				over[v.Key] = over[v.Key] || v.Deleted || len(out[v.Key]) > 0
				if !v.Deleted {
					out[v.Key] = append(out[v.Key], v.Version)
				}
			}
		}
	}
	maps.DeleteFunc(out, func(key string, _ []string) bool { return !over[key] })
	for _, versions := range out {
		slices.Reverse(versions)
	}
	return out, nil
}

// Version is the version under which key was stored, as far as it is known.
func (k *Keeper) Version(key string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known[key].Version
}

// Check asks the store whether the locks are there: of the object stored last and of that extended last, else of fallback,
// which an earlier run stored. Error kind: WeakLock; what is known is then forgotten, so that the next run looks for itself.
func (k *Keeper) Check(ctx context.Context, fallback string) error {
	k.mu.Lock()
	want := map[string]lock{}
	for _, key := range k.samples {
		want[key] = k.known[key]
	}
	delete(want, "")
	if len(want) == 0 {
		want[fallback] = k.known[fallback]
	}
	k.mu.Unlock()
	for key, l := range want {
		info, err := k.Store.Stat(ctx, key)
		if errors.Is(err, objstore.ErrNotFound) || err == nil && l.Version != "" && info.Version != l.Version {
			if err := k.extendBelow(ctx, key, l.Version); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return repo.StoreError("read the lock of", k.Store, key, err)
		}
		if !info.RetainUntil.Before(l.Until) && !info.RetainUntil.Before(k.due) {
			continue
		}
		if err := os.Remove(k.file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return repo.CacheError(k.file, err)
		}
		return k.weak(key, shows(info.RetainUntil, l.Until))
	}
	return nil
}

// Committed tells whether the snapshot itself is locked, when it is too late to refuse it. Error kind: WeakLock.
func (k *Keeper) Committed(ctx context.Context, key string) error {
	info, err := k.Store.Stat(ctx, key)
	if err != nil {
		return repo.StoreError("read the lock of", k.Store, key, err)
	}
	if info.RetainUntil.Before(k.until) {
		return uerr.New(uerr.WeakLock, "the snapshot is stored, but not locked in", k.Store.String(), shows(info.RetainUntil, k.until), hint)
	}
	return nil
}

const hint = "find out who changed the bucket's object lock; until it is back, whoever has the store's credentials can delete the backups"

func shows(have, want time.Time) error {
	if have.IsZero() {
		return errors.New("the store was found to lock objects when the repository was made, and now shows no lock")
	}
	return fmt.Errorf("it shows a lock until %s in place of %s", have.Format(time.RFC3339), want.Format(time.RFC3339))
}

func (k *Keeper) weak(key string, err error) error {
	return uerr.New(uerr.WeakLock, "no snapshot was taken: lock the objects in", k.Store.String()+" "+key, err, hint)
}

// Save keeps what is known for the next run, but for locks that have ended.
func (k *Keeper) Save() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.changed {
		return nil
	}
	maps.DeleteFunc(k.known, func(_ string, l lock) bool { return l.Until.Before(k.now) })
	data, err := json.Marshal(kept{k.name, k.known})
	if err == nil {
		err = atomicfile.WriteBytes(k.file, 0o600, data)
	}
	if err != nil {
		return repo.CacheError(k.file, err)
	}
	k.changed = false
	return nil
}
