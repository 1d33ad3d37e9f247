package collect

import (
	"context"
	"errors"
	"slices"
	"strings"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

// segment is one of this host's index segments.
type segment struct {
	key   string
	seq   int
	packs []repo.PackIndex
	live  []repo.PackIndex // whose packs are stored and on no list
}

// renewIndex finds the index segments of this host that name only packs which are gone, and writes those anew of which more than
// half is gone. Only the host can read them. A segment is a hint: without it something is stored again, nothing is lost.
func (c *collection) renewIndex(ctx context.Context) error {
	k := c.repo.Keys
	if k.Index == nil || k.Pin == nil || k.Signing == nil {
		return nil
	}
	v, err := c.look(ctx)
	if err != nil {
		return err
	}
	gone := map[repo.PackID]bool{}
	for _, l := range v.lists {
		l.Absent(gone)
	}
	var renew []repo.PackIndex
	var replaced []string
	next := 1
	for _, key := range sorted(v.objects, repo.IndexPrefix+k.Pin.Host+"/") {
		seq, ok := repo.ParseSegmentKey(key)
		if !ok {
			continue
		}
		next = max(next, seq+1)
		if v.listed[key] || !v.old(v.objects[key].modified) {
			continue
		}
		s := segment{key: key, seq: seq}
		_, err := c.repo.ReadProved(ctx, "read the index of", key, 0, maxSegment, func(data []byte) (err error) {
			s.packs, err = k.Index.OpenSegment(key, data)
			return err
		})
		if err != nil && uerr.KindOf(err) != uerr.Integrity {
			return err
		}
		for _, p := range s.packs {
			if v.objects[p.Pack.ID.Key()] != nil && !gone[p.Pack.ID] {
				s.live = append(s.live, p)
			}
		}
		switch live, all := ids(s.live), ids(s.packs); {
		case live == 0: // or junk, or of another epoch
			c.stale = append(c.stale, key)
		case live*2 < all:
			renew = append(renew, s.live...)
			replaced = append(replaced, key)
		}
	}
	if len(renew) == 0 {
		return nil
	}
	if err := c.writeIndex(ctx, renew, next); err != nil {
		return err
	}
	c.stale = append(c.stale, replaced...)
	return nil
}

const maxSegment = 64 << 20 // bytes of a segment's object

// writeIndex stores packs as new segments. A backup that writes one at the same moment takes the next number, and so does this.
func (c *collection) writeIndex(ctx context.Context, packs []repo.PackIndex, next int) error {
	for len(packs) > 0 {
		n := 1
		for n < len(packs) && ids(packs[:n+1]) <= repo.MaxSegmentIDs {
			n++
		}
		key := repo.SegmentKey(c.repo.Keys.Pin.Host, next)
		next++
		data, err := c.repo.Keys.Index.SealSegment(key, packs[:n])
		if err != nil {
			return err
		}
		err = repo.Create(ctx, c.repo.Store, key, data)
		if errors.Is(err, objstore.ErrExists) {
			continue
		}
		if err != nil {
			return repo.StoreError("store the index in", c.repo.Store, key, err)
		}
		packs = packs[n:]
	}
	return nil
}

func ids(packs []repo.PackIndex) (n int) {
	for _, p := range packs {
		for _, f := range p.Frames {
			n += len(f.IDs)
		}
	}
	return n
}

func sorted(all map[string]*object, prefix string) []string {
	var out []string
	for key := range all {
		if strings.HasPrefix(key, prefix) {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}
