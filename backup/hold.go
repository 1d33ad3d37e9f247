package backup

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"practicectl/backup/repo"
	"practicectl/backup/retain"
	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

// Hold keeps a snapshot from being pruned; see [repo.Hold].
type Hold = repo.Hold

// HoldOptions of a new hold.
type HoldOptions struct {
	Snapshot string    // "latest" or the beginning of an id
	Until    time.Time // in a store with object lock nobody can delete the snapshot before
	Reason   string    // everyone can read it
	Now      time.Time
}

// AddHold keeps a snapshot until a day, signed by this host. In a store with object lock the snapshot and all that it needs are
// locked for as long. Error kinds: NotFound, Usage, Precond, WeakLock, Auth, Unreachable.
func AddHold(ctx context.Context, r *Repo, o HoldOptions) (Hold, error) {
	const op = "hold the snapshot"
	host, err := mayWrite(r, op)
	if err != nil {
		return Hold{}, err
	}
	if err := repo.CheckReason(o.Reason); err != nil {
		return Hold{}, uerr.New(uerr.Usage, op, o.Snapshot, err, "give a shorter --reason")
	}
	if !o.Until.After(o.Now) {
		return Hold{}, uerr.New(uerr.Usage, op, o.Snapshot, errors.New("that day is over"), "give --until a day in the future")
	}
	s, err := r.Find(ctx, o.Snapshot)
	if err != nil {
		return Hold{}, err
	}
	h := Hold{Format: repo.Format, Repository: r.Root.ID, Snapshot: s.Header.ID, Host: host, Created: o.Now.UTC().Truncate(time.Second), Until: o.Until.UTC().Truncate(time.Second), Reason: o.Reason}
	if r.Keys.Pin.ObjectLock {
		keys, err := needs(ctx, r, s)
		if err == nil {
			err = retain.Extend(ctx, r.Store, keys, h.Until)
		}
		if err != nil {
			return Hold{}, err
		}
	}
	return h, storeHold(ctx, r, &h, r.Keys.Signing)
}

// needs are the keys of all objects without which a snapshot cannot be restored.
func needs(ctx context.Context, r *Repo, s repo.Snapshot) ([]string, error) {
	keys := append(r.Foundation(), s.Key)
	packs, err := r.Packs(ctx, s.Header)
	if err != nil {
		return nil, err
	}
	for _, p := range packs {
		keys = append(keys, p.ID.Key())
	}
	for _, name := range s.Header.PackLists {
		keys = append(keys, repo.PackListPrefix+name)
	}
	for _, o := range s.Header.WAL {
		keys = append(keys, o.Key)
	}
	return keys, nil
}

// storeHold gives the hold an id, signs it and stores it, locked until it ends where the store can.
func storeHold(ctx context.Context, r *Repo, h *Hold, key ed25519.PrivateKey) error {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	h.ID = hex.EncodeToString(id[:])
	data, err := repo.SignHold(*h, key)
	if err != nil {
		return err
	}
	o := objstore.PutOptions{IfAbsent: true}
	if r.Keys.Pin != nil && r.Keys.Pin.ObjectLock && h.Ends == "" {
		o.RetainUntil = h.Until
	}
	if _, err := r.Store.Put(ctx, h.Key(), bytes.NewReader(data), int64(len(data)), o); err != nil {
		return repo.StoreError("store the hold in", r.Store, h.Key(), err)
	}
	return nil
}

// Holds are the holds in force at now. Documents that are none of ours come as errors in ignored.
func Holds(ctx context.Context, r *Repo, now time.Time) (holds []Hold, ignored []error, err error) {
	return r.Holds(ctx, now)
}

// EndHolds ends all holds of a snapshot, which only the owner may: ownerFile is the owner key that [Setup] wrote. A lock of the
// store lasts until its time all the same. Error kinds: NotFound (no hold), Precond, Auth, Unreachable.
func EndHolds(ctx context.Context, r *Repo, snapshot, ownerFile string, now time.Time) ([]Hold, error) {
	const op = "end the holds of"
	s, err := r.Find(ctx, snapshot)
	if err != nil {
		return nil, err
	}
	owner, err := LoadOwner(ownerFile)
	if err != nil {
		return nil, err
	}
	if !r.Root.Owner.Equal(repo.PublicOf(owner)) {
		return nil, uerr.New(uerr.Auth, op, s.Header.ID, errors.New("this is not the owner key of the repository"), "give the file that practicectl backup init wrote to --owner-key-out")
	}
	holds, _, err := r.Holds(ctx, now)
	if err != nil {
		return nil, err
	}
	var ended []Hold
	for _, h := range holds {
		if h.Snapshot != s.Header.ID {
			continue
		}
		end := Hold{Format: repo.Format, Repository: r.Root.ID, Snapshot: h.Snapshot, Created: now.UTC().Truncate(time.Second), Ends: h.ID}
		if err := storeHold(ctx, r, &end, owner); err != nil {
			return ended, err
		}
		ended = append(ended, h)
	}
	if len(ended) == 0 {
		return nil, uerr.New(uerr.NotFound, op, s.Header.ID, errors.New("it is not held"), "practicectl backup hold list")
	}
	return ended, nil
}
