package collect

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"time"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/progress"
)

// Report is what a collection did.
type Report struct {
	Plan      *Plan  `json:"plan"`
	Forgotten int    `json:"forgotten"` // snapshots
	Removed   int    `json:"removed"`   // objects
	Freed     int64  `json:"freed"`     // bytes
	Refused   int    `json:"refused"`   // objects and snapshots that the store would not delete: locked, or this host may not
	Listed    int    `json:"listed"`    // objects on the new list
	List      string `json:"list,omitempty"`
}

// Run executes a plan: take the lease → forget snapshots → remove what is due → list what is garbage now. Before each of these
// everything is looked at again, and what came to be needed meanwhile stays. A run that is interrupted anywhere leaves
// nothing that the next one does not finish. Without the keys of a host nothing is listed. Error kinds: Locked, Fenced,
// LossGuard, Unreachable, Auth, NoSpace.
func (p *Plan) Run(ctx context.Context, progress progress.Reporter) (rep Report, err error) {
	rep.Plan = p
	host := "a holder"
	if k := p.repo.Keys; k.Pin != nil {
		host = k.Pin.Host
	}
	lease, err := takeLease(ctx, p.repo, host, p.o.Now)
	if err != nil {
		return rep, err
	}
	p.crash("lease taken")
	defer func() {
		if ctx.Err() == nil {
			lease.giveBack(ctx)
			p.crash("lease given back")
		}
	}()
	c := &collection{Plan: p, rep: &rep, lease: lease}
	for _, step := range []func(context.Context) error{
		c.forget,      // snapshots before anything that they need
		c.remove,      // what was listed a grace period ago
		c.renewIndex,  // so that old segments are garbage
		c.listGarbage, // for the next time
	} {
		if err := step(ctx); err != nil {
			return rep, err
		}
	}
	progress.Note("removed %d objects", rep.Removed)
	return rep, nil
}

// collection is one run under way.
type collection struct {
	*Plan
	rep   *Report
	lease *held
	stale []string // index segments that are of no use any more
}

func (p *Plan) crash(point string) {
	if p.o.Crash != nil {
		p.o.Crash(point)
	}
}

// look looks again, by the store's clock.
func (c *collection) look(ctx context.Context) (*view, error) {
	if err := c.lease.check(ctx); err != nil {
		return nil, err
	}
	return look(ctx, c.repo, c.o, c.lease.taken)
}

func (c *collection) forget(ctx context.Context) error {
	v, err := c.look(ctx)
	if err != nil {
		return err
	}
	c.Doubts = v.doubts
	var keys []string
	for _, s := range v.expire {
		if slices.Contains(c.Expire, s.Key) {
			keys = append(keys, s.Key)
		}
	}
	for _, u := range v.unproved {
		if u.Drop {
			keys = append(keys, u.Key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	all, err := everything(ctx, c.repo.Store, repo.SnapshotPrefix)
	if err != nil {
		return err
	}
	for _, key := range keys {
		o, ok := all[key]
		if !ok {
			continue
		}
		if err := c.lease.keep(ctx); err != nil {
			return err
		}
		removed, err := o.remove(ctx, c.repo.Store)
		if err != nil {
			return err
		}
		if !removed {
			c.rep.Refused++
			continue
		}
		c.rep.Forgotten++
		c.crash("snapshot forgotten")
	}
	return nil
}

func (c *collection) remove(ctx context.Context) error {
	v, err := c.look(ctx)
	if err != nil {
		return err
	}
	left := map[string]bool{}
	for _, key := range v.due() {
		if err := c.lease.keep(ctx); err != nil {
			return err
		}
		removed, err := v.objects[key].remove(ctx, c.repo.Store)
		if err != nil {
			return err
		}
		if !removed {
			left[key] = true
			c.rep.Refused++
			continue
		}
		c.rep.Removed++
		c.rep.Freed += v.objects[key].size
		delete(v.objects, key)
		c.crash("object removed")
	}
	return c.removeLists(ctx, v, left)
}

// removeLists removes the lists of which nothing is left to do.
func (c *collection) removeLists(ctx context.Context, v *view, left map[string]bool) error {
	for _, l := range v.lists {
		if v.waits != "" || !v.old(l.stored) || slices.ContainsFunc(l.Keys, func(key string) bool {
			return left[key] || v.objects[key] != nil && collectable(key) && !v.needed[key]
		}) {
			continue
		}
		all, err := everything(ctx, c.repo.Store, l.key)
		if err != nil {
			return err
		}
		for _, o := range all {
			if _, err := o.remove(ctx, c.repo.Store); err != nil {
				return err
			}
		}
		c.crash("list removed")
	}
	return nil
}

func (c *collection) listGarbage(ctx context.Context) error {
	k := c.repo.Keys
	if k.Signing == nil || k.Pin == nil {
		return nil // somebody without a host's key: the host lists
	}
	v, err := c.look(ctx)
	if err != nil {
		return err
	}
	keys := v.garbage()
	for _, key := range c.stale {
		if !v.listed[key] {
			keys = append(keys, key)
		}
	}
	keys = keys[:min(len(keys), maxListKeys)]
	if len(keys) == 0 {
		return nil
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	t := repo.Tombstones{Format: repo.Format, Repository: c.repo.Root.ID, ID: hex.EncodeToString(id[:]), Host: k.Pin.Host, Created: c.lease.taken.UTC().Truncate(time.Second), Keys: keys}
	data, err := repo.SignTombstones(t, k.Signing)
	if err != nil {
		return err
	}
	key := repo.TombstoneKey(t.ID)
	if _, err := c.repo.Store.Put(ctx, key, bytes.NewReader(data), int64(len(data)), objstore.PutOptions{}); err != nil {
		return repo.StoreError("store the list of garbage in", c.repo.Store, key, err)
	}
	c.rep.Listed, c.rep.List = len(keys), key
	c.crash("list stored")
	return nil
}
