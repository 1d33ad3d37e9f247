package drill

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"

	"practicectl/backup"
	"practicectl/backup/repo"
	"practicectl/internal/uerr"
)

// How a snapshot was chosen.
const (
	newest = "newest"
	random = "random"
	named  = "named"
)

// Look is what a drill would do now.
type Look struct {
	Plan   *backup.RestorePlan `json:"plan"`
	Chosen string              `json:"chosen"`
	Seed   uint64              `json:"seed,string"`
	Dir    string              `json:"dir"`
}

// LookAhead chooses as [Run] would with the same options, and changes nothing. Error kinds: those of a restore's plan.
func LookAhead(ctx context.Context, r *backup.Repo, o Options) (Look, error) {
	if o.Dir == "" {
		o.Dir = o.State
	}
	snapshot, how, _, err := pick(ctx, r, o)
	if err != nil {
		return Look{}, err
	}
	plan, err := backup.PlanRestore(ctx, r, backup.Target{Snapshot: snapshot, Dir: filepath.Join(o.Dir, "practicectl-drill", "copy")})
	return Look{Plan: plan, Chosen: how, Seed: o.Seed, Dir: o.Dir}, err
}

// pick names the snapshot to restore, and finds the newest one that can be trusted.
func pick(ctx context.Context, r *backup.Repo, o Options) (id, how string, last repo.Header, err error) {
	all, err := r.Snapshots(ctx)
	if err != nil {
		return "", "", last, err
	}
	var good []repo.Header
	for _, s := range all {
		if s.Err == nil {
			good = append(good, s.Header)
		}
	}
	if len(good) == 0 && len(all) > 0 {
		return "", "", last, all[len(all)-1].Err
	}
	if len(good) == 0 {
		return "", "", last, uerr.New(uerr.NotFound, "drill", r.Store.String(), errors.New("there are no snapshots"), "practicectl backup run")
	}
	last = good[len(good)-1]
	switch o.Snapshot {
	case "", "latest":
		return "latest", newest, last, nil // a newest one that cannot be trusted is an error, as for a restore
	case random:
		chance := rand.New(rand.NewPCG(o.Seed, 1))
		return good[chance.IntN(len(good))].ID, random, last, nil
	}
	return o.Snapshot, named, last, nil
}

// choose makes the scratch folder and plans the restore into it.
func (d *drill) choose(ctx context.Context) (*backup.RestorePlan, error) {
	snapshot, how, last, err := pick(ctx, d.repo, d.o)
	if err != nil {
		return nil, err
	}
	d.e.Newest = last.Created
	if err := reachable(d.o.Dir, d.o.Account); err != nil {
		return nil, err
	}
	if d.scratch, err = newScratch(ctx, d.o.State, d.o.Dir, d.o.Key, d.o.Own); err != nil {
		return nil, err
	}
	d.crash("scratch made")
	plan, err := backup.PlanRestore(ctx, d.repo, backup.Target{Snapshot: snapshot, Dir: d.scratch.target()})
	if plan == nil {
		return nil, err
	}
	h := plan.Snapshot
	d.e.Snapshot = &Restored{Key: plan.Key, ID: h.ID, Host: h.Host, Chosen: how, Created: h.Created, Mode: h.Mode, Files: plan.Files, Bytes: plan.Bytes, Root: h.Root,
		LockedUntil: h.LockedUntil, Damaged: len(h.Damaged), Database: h.Database}
	d.e.Point = &Point{Asked: "the end of the snapshot", Reached: h.Created}
	if err != nil && uerr.KindOf(err) == uerr.NoSpace { // the plan's own hint speaks of a restore
		return nil, uerr.New(uerr.NoSpace, "make a scratch instance in", d.o.Dir, errors.Unwrap(err), roomHint)
	}
	return plan, err
}
