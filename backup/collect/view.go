package collect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"practicectl/backup/repo"
	"practicectl/backup/retain"
	"practicectl/backup/wal"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

// Unproved is an object among the snapshots that cannot be trusted.
type Unproved struct {
	Key     string `json:"key"`
	Problem string `json:"problem"`
	Claims  bool   `json:"claims"`  // it names packs or log, and these are kept
	Damaged bool   `json:"damaged"` // a later snapshot knows it: it was a snapshot, and what it needs cannot be told
	Drop    bool   `json:"drop"`    // somebody decided to give it up
}

// view is what is in the repository at one moment.
type view struct {
	now       time.Time
	snapshots []repo.Snapshot
	unproved  []Unproved
	claims    []repo.Header // of unproved ones
	verdicts  []retain.Verdict
	doubts    []retain.Doubt // that nobody accepted
	expire    []repo.Snapshot
	kept      []repo.Snapshot
	objects   map[string]*object // that may be garbage, by key
	lists     []list
	listed    map[string]bool // keys that are on a list
	needed    map[string]bool // keys
	ignored   []error
	waits     string // why nothing is removed now; empty: nothing stands against it
}

// look reads headers, holds and lists, and lists the rest. now is the store's time.
func look(ctx context.Context, r *repo.Repo, o Options, now time.Time) (*view, error) {
	v := &view{now: now, objects: map[string]*object{}}
	var err error
	// First the lists, then what is stored, then the snapshots: what comes to be needed meanwhile is seen to be needed.
	if v.lists, err = readLists(ctx, r); err != nil {
		return nil, err
	}
	v.listed = map[string]bool{}
	for _, l := range v.lists {
		for _, key := range l.Keys {
			v.listed[key] = true
		}
	}
	for _, prefix := range []string{repo.PackPrefix, repo.PackListPrefix, repo.IndexPrefix, repo.WALPrefix} {
		some, err := everything(ctx, r.Store, prefix)
		if err != nil {
			return nil, err
		}
		maps.Copy(v.objects, some)
	}
	if err := v.readSnapshots(ctx, r, o); err != nil {
		return nil, err
	}
	if err := v.judge(ctx, r, o); err != nil {
		return nil, err
	}
	return v, v.mark(ctx, r, o)
}

func (v *view) readSnapshots(ctx context.Context, r *repo.Repo, o Options) error {
	all, err := r.Snapshots(ctx)
	if err != nil {
		return err
	}
	parents := map[string]bool{}
	for _, s := range all {
		if s.Err == nil {
			parents[s.Header.Parent] = true
		}
	}
	for _, s := range all {
		if s.Err == nil {
			v.snapshots = append(v.snapshots, s)
			continue
		}
		h, claims, err := r.Claims(ctx, s.Key)
		if err != nil {
			return err
		}
		_, _, id, kerr := repo.ParseSnapshotKey(s.Key)
		u := Unproved{Key: s.Key, Problem: s.Err.Error(), Claims: claims, Damaged: kerr == nil && parents[id] && !claims, Drop: slices.Contains(o.Drop, s.Key)}
		v.unproved = append(v.unproved, u)
		if claims && !u.Drop {
			v.claims = append(v.claims, h)
		}
	}
	return nil
}

// judge applies the policy.
func (v *view) judge(ctx context.Context, r *repo.Repo, o Options) error {
	holds, ignored, err := r.Holds(ctx, v.now)
	if err != nil {
		return err
	}
	v.ignored = append(v.ignored, ignored...)
	held := map[string]bool{}
	for _, h := range holds {
		held[h.Snapshot] = true
	}
	byKey := map[string]repo.Snapshot{}
	var candidates []retain.Candidate
	for _, s := range v.snapshots {
		byKey[s.Key] = s
		h := s.Header
		c := retain.Candidate{Key: s.Key, ID: h.ID, Host: h.Host, Created: h.Created, Stored: s.Stored, Bytes: h.Bytes, Database: h.Database != nil, Held: held[h.ID], Locked: h.LockedUntil}
		// No honest run locks for longer than this; a header that claims more would never go.
		if most := s.Stored.Add(retain.Monthly.Period() + retain.Quantum); c.Locked.After(most) {
			c.Locked = most
		}
		candidates = append(candidates, c)
	}
	var doubts []retain.Doubt
	v.verdicts, doubts = o.Policy.Judge(candidates, v.now)
	doubtful := map[string]bool{} // hosts
	for _, d := range doubts {
		if !slices.Contains(o.Accept, d.Name) {
			v.doubts = append(v.doubts, d)
			doubtful[d.Host] = true
		}
	}
	if len(v.verdicts) > 0 && !slices.Contains(o.Accept, "stale") {
		if newest := v.verdicts[len(v.verdicts)-1].Candidate.Taken(); v.now.Sub(newest) > retain.Stale {
			v.waits = "the newest snapshot is of " + newest.Format(time.DateOnly) + ": backups do not run, or the clock is ahead"
		}
	}
	for i := range v.verdicts {
		verdict := &v.verdicts[i]
		switch s := byKey[verdict.Key]; {
		case verdict.Keep:
			v.kept = append(v.kept, s)
		case doubtful[verdict.Candidate.Host]:
			verdict.Keep, verdict.Why = true, "would go, but see the doubts"
			v.kept = append(v.kept, s)
		default:
			v.expire = append(v.expire, s)
		}
	}
	slices.Reverse(v.expire) // the newest goes first: what is interrupted leaves the oldest
	return nil
}

// mark notes what the snapshots need that stay. Error kind: LossGuard when that cannot be told.
func (v *view) mark(ctx context.Context, r *repo.Repo, o Options) error {
	const op = "tell what is needed in"
	v.needed = map[string]bool{}
	lists := map[string][]repo.StoredPack{}
	need := func(h repo.Header) error {
		for _, p := range h.Packs {
			v.needed[p.ID.Key()] = true
		}
		for _, o := range h.WAL {
			v.needed[o.Key] = true
		}
		for _, name := range h.PackLists {
			v.needed[repo.PackListPrefix+name] = true
			packs, ok := lists[name]
			if !ok {
				var err error
				if packs, err = r.PackList(ctx, name); err != nil {
					return err
				}
				lists[name] = packs
			}
			for _, p := range packs {
				v.needed[p.ID.Key()] = true
			}
		}
		return nil
	}
	guard := func(key string, err error) error {
		return uerr.New(uerr.LossGuard, op, r.Store.String(), fmt.Errorf("%s: %w", key, err),
			"nothing was removed. Mend the repository (practicectl backup verify), or give this snapshot up: practicectl backup prune --drop "+key)
	}
	for _, s := range v.kept {
		err := need(s.Header)
		switch {
		case uerr.KindOf(err) == uerr.Integrity && slices.Contains(o.Drop, s.Key):
			v.expire = append(v.expire, s) // broken, and given up
		case uerr.KindOf(err) == uerr.Integrity:
			return guard(s.Key, err)
		case err != nil:
			return err
		}
	}
	for _, h := range v.claims {
		if err := need(h); err != nil && uerr.KindOf(err) != uerr.Integrity {
			return err // a claim that leads nowhere claims nothing
		}
	}
	for _, u := range v.unproved {
		if u.Damaged && !u.Drop {
			return guard(u.Key, errors.New("a later snapshot knows it, and what it needs cannot be read any more"))
		}
	}
	v.markLog(o.Log)
	return nil
}

// markLog keeps the log from the beginning of the oldest snapshot on that is needed to restore any moment of the window, and of
// older snapshots that of their own duration. Names that no log of ours has are kept as well.
func (v *view) markLog(window time.Duration) {
	begun := v.now.Add(-window)
	from := map[uint64]pgcluster.LSN{} // by cluster
	var own []wal.Stretch
	for _, s := range slices.SortedFunc(slices.Values(v.kept), func(a, b repo.Snapshot) int { return there(a).Compare(there(b)) }) {
		db := s.Header.Database
		if db == nil {
			continue
		}
		start, errStart := pgcluster.ParseLSN(db.Start)
		stop, errStop := pgcluster.ParseLSN(db.Stop)
		if errStart != nil || errStop != nil {
			continue // signed nonsense; what it lists as its log is kept all the same
		}
		own = append(own, wal.Stretch{System: db.System, Timeline: db.Timeline, Start: start, End: stop})
		// The newest one from before the window is where a restore to the window's first moment begins; later ones only add.
		if first, ok := from[db.System]; !ok || !there(s).After(begun) || start < first {
			from[db.System] = start
		}
	}
	for key, o := range v.objects {
		if !strings.HasPrefix(key, repo.WALPrefix) {
			continue
		}
		s, _, ok := wal.ParseKey(key)
		first, known := from[s.System]
		switch {
		case !ok: // history of a timeline, or something new
			v.needed[key] = true
		case known && s.End > first, !known && o.modified.After(begun):
			v.needed[key] = true
		case slices.ContainsFunc(own, func(w wal.Stretch) bool {
			return w.System == s.System && w.Timeline == s.Timeline && s.Start < w.End && s.End > w.Start
		}):
			v.needed[key] = true
		}
	}
}

// there is since when a snapshot can be restored, by the later one of both clocks: nobody makes one older than it is.
func there(s repo.Snapshot) time.Time {
	if s.Stored.After(s.Header.Committed) {
		return s.Stored
	}
	return s.Header.Committed
}

// garbage are the objects of a kind that nobody needs and that are older than the grace period, in order, but for those on a
// list already.
func (v *view) garbage() []string {
	out := []string{}
	for key, o := range v.objects {
		// Which index segments are of use only their host can tell: see renewIndex.
		if !v.needed[key] && !v.listed[key] && !strings.HasPrefix(key, repo.IndexPrefix) && v.old(o.modified) {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

func (v *view) old(t time.Time) bool { return t.Before(v.now.Add(-Grace)) }

// due are the objects that may be removed now.
func (v *view) due() []string {
	out := []string{}
	if v.waits != "" {
		return out
	}
	for _, l := range v.lists {
		if !v.old(l.stored) {
			continue
		}
		for _, key := range l.Keys {
			if o := v.objects[key]; o != nil && collectable(key) && !v.needed[key] && v.old(o.modified) {
				out = append(out, key)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (v *view) bytes(keys []string) (n int64) {
	for _, key := range keys {
		if o := v.objects[key]; o != nil {
			n += o.size
		}
	}
	return n
}
