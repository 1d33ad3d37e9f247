package wal

import (
	"cmp"
	"context"
	"slices"
	"time"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/pgcluster"
)

// Catalogue is all log of a repository by the names of its objects. Making it needs no key.
type Catalogue struct {
	Stretches []Found // by cluster, timeline and position; of those that begin at one position the longest comes first
	Branches  []FoundBranch
}

// Found is a stored stretch.
type Found struct {
	Stretch
	Mark     Mark
	Key      string
	Size     int64     // bytes of the object
	Modified time.Time // by the store's clock
}

// FoundBranch is a stored history file.
type FoundBranch struct {
	Branch
	Mark     Mark
	Key      string
	Modified time.Time
}

// Look lists the log in a store. Error kinds: Auth, Unreachable.
func Look(ctx context.Context, st objstore.Store) (Catalogue, error) {
	return look(ctx, st, repo.WALPrefix)
}

// LookAt lists the log of a cluster.
func LookAt(ctx context.Context, st objstore.Store, system uint64) (Catalogue, error) {
	return look(ctx, st, systemPrefix(system))
}

// LookWithin lists what is stored of a stretch, which is a unit or lies within one.
func LookWithin(ctx context.Context, st objstore.Store, s Stretch) ([]Found, error) {
	c, err := look(ctx, st, s.around())
	within := c.Stretches[:0]
	for _, f := range c.Stretches {
		if f.Start >= s.Start && f.End <= s.End {
			within = append(within, f)
		}
	}
	return within, err
}

func look(ctx context.Context, st objstore.Store, prefix string) (Catalogue, error) {
	var c Catalogue
	for info, err := range st.List(ctx, prefix) {
		if err != nil {
			return Catalogue{}, repo.StoreError("list the log in", st, prefix, err)
		}
		if s, mark, ok := ParseKey(info.Key); ok {
			c.Stretches = append(c.Stretches, Found{Stretch: s, Mark: mark, Key: info.Key, Size: info.Size, Modified: info.Modified})
		} else if b, mark, ok := ParseBranchKey(info.Key); ok {
			c.Branches = append(c.Branches, FoundBranch{Branch: b, Mark: mark, Key: info.Key, Modified: info.Modified})
		}
	}
	slices.SortStableFunc(c.Stretches, func(a, b Found) int {
		return cmp.Or(cmp.Compare(a.System, b.System), cmp.Compare(a.Timeline, b.Timeline), cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End))
	})
	return c, nil
}

// of are the stretches of one timeline.
func (c Catalogue) of(system uint64, timeline uint32) []Found {
	at := func(want int) int {
		i, _ := slices.BinarySearchFunc(c.Stretches, want, func(f Found, want int) int {
			return cmp.Or(cmp.Compare(f.System, system), cmp.Compare(f.Timeline, timeline), -want)
		})
		return i
	}
	return c.Stretches[at(0):at(1)]
}

// branch is where a timeline began; false: it is the first, or its history is not stored.
func (c Catalogue) branch(system uint64, timeline uint32) (FoundBranch, bool) {
	i := slices.IndexFunc(c.Branches, func(b FoundBranch) bool { return b.System == system && b.Timeline == timeline })
	if i < 0 {
		return FoundBranch{}, false
	}
	return c.Branches[i], true
}

// Cover picks few objects that together hold [from, to) of a timeline, in order. When they do not, reached is where the
// log that begins at from ends.
func (c Catalogue) Cover(system uint64, timeline uint32, from, to pgcluster.LSN) (picked []Found, reached pgcluster.LSN) {
	reached = from
	var best *Found
	for i, all := 0, c.of(system, timeline); reached < to; i++ {
		if i < len(all) && all[i].Start <= reached {
			if f := &all[i]; f.End > reached && (best == nil || f.End > best.End) {
				best = f
			}
			continue
		}
		if best == nil {
			break
		}
		picked, reached, best = append(picked, *best), best.End, nil
		i-- // the same object again, now that more is reached
	}
	return picked, reached
}

// End is how far the log of a timeline reaches from a position on without a gap.
func (c Catalogue) End(system uint64, timeline uint32, from pgcluster.LSN) pgcluster.LSN {
	_, reached := c.Cover(system, timeline, from, ^pgcluster.LSN(0))
	return reached
}
