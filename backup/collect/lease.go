package collect

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

// A lease keeps two collections from working at once. It stops nothing else: backups and restores never look at it. It ends by
// itself, by the store's clock, so nobody ever has to take one away.
const (
	leasePrefix = "l/"
	leaseKey    = leasePrefix + "collect"
	leaseFor    = 10 * time.Minute
)

// lease is the content of the object. The store's time of the object is when it began or was renewed.
type lease struct {
	Format     int    `json:"format"`
	Holder     string `json:"holder"` // random, of this run
	Host       string `json:"host"`
	Generation int    `json:"generation"` // one more each time that it changes hands
	Free       bool   `json:"free"`       // given back
}

// held is a lease that this run has.
type held struct {
	repo *repo.Repo
	lease
	tag   string
	taken time.Time // by the store's clock
	since time.Time // the same moment by this machine's clock
	now   func() time.Time
}

// takeLease waits for nobody. Error kind: Locked while another run has it.
func takeLease(ctx context.Context, r *repo.Repo, host string, now func() time.Time) (*held, error) {
	const op = "take the lease of garbage collection in"
	h := &held{repo: r, now: now, lease: lease{Format: repo.Format, Holder: rand.Text(), Host: host, Generation: 1}}
	clock, err := storeTime(ctx, r)
	if err != nil {
		return nil, err
	}
	condition := objstore.PutOptions{IfAbsent: true}
	info, err := r.Store.Stat(ctx, leaseKey)
	switch {
	case errors.Is(err, objstore.ErrNotFound):
	case err != nil:
		return nil, repo.StoreError(op, r.Store, leaseKey, err)
	default:
		condition = objstore.PutOptions{IfMatch: info.ETag}
		old := readLease(ctx, r)
		if ends := info.Modified.Add(leaseFor); !old.Free && ends.After(clock) {
			return nil, uerr.New(uerr.Locked, op, r.Store.String(), fmt.Errorf("%s has it until %s", old.Host, ends.UTC().Format(time.RFC3339)), "it ends by itself; run the same command again then")
		}
		h.Generation = old.Generation + 1
	}
	switch err := h.write(ctx, condition); {
	case errors.Is(err, objstore.ErrExists) && condition.IfAbsent:
		// A delete marker lies over it, which some services take for an object. Without a condition, whoever writes last has it.
		err = h.write(ctx, objstore.PutOptions{})
		if err != nil {
			return nil, repo.StoreError(op, r.Store, leaseKey, err)
		}
	case errors.Is(err, objstore.ErrExists), errors.Is(err, objstore.ErrChanged):
		return nil, uerr.New(uerr.Locked, op, r.Store.String(), errors.New("another run took it at the same moment"), "run the same command again later")
	case errors.Is(err, objstore.ErrUnsupported):
		if err := h.write(ctx, objstore.PutOptions{}); err != nil {
			return nil, repo.StoreError(op, r.Store, leaseKey, err)
		}
	case err != nil:
		return nil, repo.StoreError(op, r.Store, leaseKey, err)
	}
	return h, h.check(ctx)
}

// readLease reads whatever is there; what cannot be read is nobody's.
func readLease(ctx context.Context, r *repo.Repo) lease {
	var l lease
	data, err := repo.ReadObject(ctx, r.Store, leaseKey, 4<<10)
	if err != nil || json.Unmarshal(data, &l) != nil {
		return lease{Host: "somebody"}
	}
	return l
}

func (h *held) write(ctx context.Context, o objstore.PutOptions) error {
	data, err := json.Marshal(h.lease)
	if err != nil {
		return err
	}
	info, err := h.repo.Store.Put(ctx, leaseKey, bytes.NewReader(data), int64(len(data)), o)
	h.tag = info.ETag
	return err
}

// check proves that the lease is still this run's, and reads the store's clock by it.
func (h *held) check(ctx context.Context) error {
	info, err := h.repo.Store.Stat(ctx, leaseKey)
	if err != nil && !errors.Is(err, objstore.ErrNotFound) {
		return repo.StoreError("check the lease in", h.repo.Store, leaseKey, err)
	}
	if err != nil || info.ETag != h.tag {
		return uerr.New(uerr.Fenced, "collect garbage in", h.repo.Store.String(), errors.New("another run took the lease over"), "run the same command again later")
	}
	h.taken, h.since = info.Modified, h.now()
	return nil
}

// keep is asked before each step that removes something. It renews the lease when a third of its time is over.
func (h *held) keep(ctx context.Context) error {
	if h.now().Sub(h.since) < leaseFor/3 {
		return nil
	}
	if err := h.check(ctx); err != nil {
		return err
	}
	err := h.write(ctx, objstore.PutOptions{IfMatch: h.tag})
	if errors.Is(err, objstore.ErrUnsupported) {
		err = h.write(ctx, objstore.PutOptions{})
	}
	if errors.Is(err, objstore.ErrChanged) {
		return uerr.New(uerr.Fenced, "collect garbage in", h.repo.Store.String(), errors.New("another run took the lease over"), "run the same command again later")
	}
	if err != nil {
		return repo.StoreError("renew the lease in", h.repo.Store, leaseKey, err)
	}
	return h.check(ctx)
}

// giveBack frees the lease, and clears away what the store keeps of older ones. It is only tidying: the lease ends by itself.
func (h *held) giveBack(ctx context.Context) {
	h.Free = true
	if h.check(ctx) != nil || h.write(ctx, objstore.PutOptions{IfMatch: h.tag}) != nil {
		return
	}
	all, err := everything(ctx, h.repo.Store, leaseKey)
	if err != nil {
		return
	}
	for _, o := range all {
		for _, v := range o.versions[1:] {
			_ = h.repo.Store.DeleteVersion(ctx, v.Key, v.Version)
		}
	}
}

// storeTime asks the store for its time: an object is put there and its time read.
func storeTime(ctx context.Context, r *repo.Repo) (time.Time, error) {
	const op = "read the clock of"
	key := leasePrefix + "clock"
	if _, err := r.Store.Put(ctx, key, bytes.NewReader(nil), 0, objstore.PutOptions{}); err != nil {
		return time.Time{}, repo.StoreError(op, r.Store, key, err)
	}
	info, err := r.Store.Stat(ctx, key)
	if err != nil {
		return time.Time{}, repo.StoreError(op, r.Store, key, err)
	}
	_ = r.Store.DeleteVersion(ctx, key, info.Version) // a version of no bytes stays where this host may not delete
	return info.Modified, nil
}
