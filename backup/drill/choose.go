package drill

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"practicectl/backup"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

// How a snapshot was chosen.
const (
	newest = "newest"
	random = "random"
	named  = "named"
)

// Where the log is replayed to.
const (
	toRandom   = "random"   // any second that the streamed log reaches, left to chance; the end of the snapshot where none is streamed
	toLatest   = "latest"   // the end of the streamed log
	toSnapshot = "snapshot" // the end of the snapshot
)

// Moments are the values of Options.To.
var Moments = []string{toRandom, toLatest, toSnapshot}

// Look is what a drill would do now.
type Look struct {
	Plan   *backup.RestorePlan `json:"plan"`
	Chosen string              `json:"chosen"`
	To     string              `json:"to"`
	Seed   uint64              `json:"seed,string"`
	Dir    string              `json:"dir"`
}

// LookAhead chooses as [Run] would with the same options, and changes nothing. Error kinds: those of a restore's plan.
func LookAhead(ctx context.Context, r *backup.Repo, o Options) (Look, error) {
	if o.Dir == "" {
		o.Dir = o.State
	}
	c, err := choose(ctx, r, o)
	if err != nil {
		return Look{}, err
	}
	plan, to, err := c.plan(ctx, r, filepath.Join(o.Dir, "practicectl-drill", "copy"))
	return Look{Plan: plan, Chosen: c.how, To: to, Seed: o.Seed, Dir: o.Dir}, err
}

// choice is what a drill restores.
type choice struct {
	how      string // newest, random or named
	snapshot string // as a restore names it
	newest   time.Time
	moments  []backup.Point // to try, the first one first; none: the end of the snapshot
}

// choose picks the snapshot and the moment, and finds the newest state that could be restored.
func choose(ctx context.Context, r *backup.Repo, o Options) (choice, error) {
	all, err := r.Snapshots(ctx)
	if err != nil {
		return choice{}, err
	}
	var good []backup.Item
	for i := range all {
		if all[i].Err == nil {
			good = append(good, backup.Item{Key: all[i].Key, Snapshot: &all[i].Header})
		}
	}
	switch {
	case len(all) == 0:
		return choice{}, uerr.New(uerr.NotFound, "drill", r.Store.String(), errors.New("there are no snapshots"), "practicectl backup run")
	case len(good) == 0:
		return choice{}, all[len(all)-1].Err
	}
	chance := rand.New(rand.NewPCG(o.Seed, 1))
	c := choice{how: named, snapshot: o.Snapshot, newest: good[len(good)-1].Snapshot.Created}
	n := len(good) - 1
	switch o.Snapshot {
	case "", "latest":
		c.how, c.snapshot = newest, "latest" // a newest one that cannot be trusted is an error, as for a restore
	case random:
		n = chance.IntN(len(good))
		c.how, c.snapshot = random, good[n].Snapshot.ID
	default:
		if n = slices.IndexFunc(good, func(i backup.Item) bool { return strings.HasPrefix(i.Snapshot.ID, o.Snapshot) }); n < 0 {
			return c, nil // the restore says what is wrong with it
		}
	}
	windows, err := backup.Windows(ctx, r, good)
	if err != nil {
		return c, err
	}
	c.moment(good, n, windows, o.To, chance)
	return c, nil
}

// moment chooses where the log behind snapshot n is replayed to: before the next snapshot, so that a drill of an old one does not
// replay the log of weeks.
func (c *choice) moment(good []backup.Item, n int, windows []backup.Window, to string, chance *rand.Rand) {
	h := good[n].Snapshot
	if h.Database == nil {
		return
	}
	stop, err := pgcluster.ParseLSN(h.Database.Stop)
	i := slices.IndexFunc(windows, func(w backup.Window) bool {
		return w.System == h.Database.System && w.Timeline == h.Database.Timeline && w.Holds(stop) && w.To > stop
	})
	if err != nil || i < 0 {
		return // no log is streamed, or a gap follows the snapshot
	}
	w := windows[i]
	until := w.ToTime
	if n == len(good)-1 {
		if until.After(c.newest) {
			c.newest = until
		}
	} else if next := good[n+1].Snapshot.Created; next.Before(until) {
		until = next
	}
	latest := backup.Point{Latest: true, Timeline: w.Timeline}
	seconds := int64(until.Sub(h.Committed) / time.Second)
	switch {
	case to == toSnapshot:
	case to != toLatest && seconds > 0:
		at := backup.Point{Time: h.Committed.Add(time.Duration(chance.Int64N(seconds)+1) * time.Second).Truncate(time.Second), Timeline: w.Timeline}
		c.moments = []backup.Point{at, latest} // when nothing was committed after that second, it is the end of the log
	default:
		c.moments = []backup.Point{latest}
	}
}

// plan plans the restore of the choice into target, and says what it is replayed to.
func (c choice) plan(ctx context.Context, r *backup.Repo, target string) (*backup.RestorePlan, string, error) {
	for n, m := range c.moments {
		plan, err := backup.PlanRestore(ctx, r, backup.Target{Snapshot: c.snapshot, Dir: target, Point: &m})
		if uerr.KindOf(err) == uerr.WALGap && n < len(c.moments)-1 {
			continue
		}
		return plan, m.String(), err
	}
	plan, err := backup.PlanRestore(ctx, r, backup.Target{Snapshot: c.snapshot, Dir: target})
	return plan, "the end of the snapshot", err
}

// choose makes the scratch folder and plans the restore into it.
func (d *drill) choose(ctx context.Context) (*backup.RestorePlan, error) {
	c, err := choose(ctx, d.repo, d.o)
	if err != nil {
		return nil, err
	}
	d.e.Newest = c.newest
	if err := reachable(d.o.Dir, d.o.Account); err != nil {
		return nil, err
	}
	if d.scratch, err = newScratch(ctx, d.o.State, d.o.Dir, d.o.Key, d.o.Own); err != nil {
		return nil, err
	}
	d.crash("scratch made")
	plan, to, err := c.plan(ctx, d.repo, d.scratch.target())
	if plan == nil {
		return nil, err
	}
	h := plan.Snapshot
	d.e.Snapshot = &Restored{Key: plan.Key, ID: h.ID, Host: h.Host, Chosen: c.how, Created: h.Created, Mode: h.Mode, Files: plan.Files, Bytes: plan.Bytes, Root: h.Root,
		LockedUntil: h.LockedUntil, Damaged: len(h.Damaged), Database: h.Database}
	d.e.Point = &Point{Asked: to, Reached: h.Created}
	if err != nil && uerr.KindOf(err) == uerr.NoSpace { // the plan's own hint speaks of a restore
		return nil, uerr.New(uerr.NoSpace, "make a scratch instance in", d.o.Dir, errors.Unwrap(err), roomHint)
	}
	return plan, err
}
