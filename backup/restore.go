package backup

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"practicectl/backup/repo"
	"practicectl/backup/restore"
	"practicectl/backup/wal"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// Target says what is restored where to.
type Target struct {
	Snapshot    string   // "latest" or the beginning of an id
	Dir         string   // does not exist yet, or is empty; gets the folders pg, files and tablespaces. Empty: only to look
	InPlace     bool     // Dir is a stopped database's data folder, or what an earlier restore made, and becomes the snapshot by its differences
	Paths       []string // only these files and folders, such as "files/etc/practice/*"; none: everything
	ClusterOnly bool     // the database without the files beside it
	// Point is the moment to which log is replayed; nil: the end of the snapshot. "latest" is then the newest snapshot before it.
	Point *Point
}

// Point is a moment to restore; see [wal.Point].
type Point = wal.Point

// RestorePlan is what a restore will do; see [restore.Plan].
type RestorePlan = restore.Plan

// RestoreOptions of a restore; see [restore.Options].
type RestoreOptions = restore.Options

// RestoreReport is what a restore did.
type RestoreReport = restore.Report

// PlanRestore opens the snapshot and says what restoring it would read and write. It writes nothing. Error kinds: NotFound,
// Auth (no identity fits), Integrity, Unreachable; LossGuard and NoSpace come with the plan.
func PlanRestore(ctx context.Context, r *Repo, want Target) (*RestorePlan, error) {
	if want.Point != nil {
		return planPoint(ctx, r, want)
	}
	s, err := r.Find(ctx, want.Snapshot)
	if err != nil {
		return nil, err
	}
	plan, err := restore.NewPlan(ctx, r, s, restore.Want{Target: want.Dir, InPlace: want.InPlace, Paths: want.Paths, ClusterOnly: want.ClusterOnly})
	if err != nil || want.Dir == "" || want.InPlace {
		return plan, err
	}
	return plan, plan.CheckTarget()
}

// planPoint is PlanRestore with a point.
func planPoint(ctx context.Context, r *Repo, want Target) (*RestorePlan, error) {
	if len(want.Paths) > 0 {
		return nil, uerr.New(uerr.Usage, "restore to", want.Point.String(), errors.New("files alone have no log to replay"), "leave out --path, or the moment")
	}
	var snapshots []repo.Snapshot
	if want.Snapshot != "latest" {
		s, err := r.Find(ctx, want.Snapshot)
		if err != nil {
			return nil, err
		}
		snapshots = []repo.Snapshot{s}
	} else {
		all, err := r.Snapshots(ctx)
		if err != nil {
			return nil, err
		}
		snapshots = slices.DeleteFunc(all, func(s repo.Snapshot) bool { return s.Err != nil })
	}
	headers := make([]repo.Header, len(snapshots))
	for i, s := range snapshots {
		headers[i] = s.Header
	}
	log, err := wal.Look(ctx, r.Store)
	if err != nil {
		return nil, err
	}
	to := *want.Point
	if to.Name != "" {
		w, at, err := log.FindName(ctx, r, log.Windows(headers), to.Name, to.Timeline)
		if err != nil {
			return nil, err
		}
		to.LSN, to.Timeline = at, w.Timeline
	}
	route, err := log.Route(headers, to)
	if err != nil {
		return nil, err
	}
	plan, err := restore.NewPlan(ctx, r, snapshots[route.Snapshot], restore.Want{Target: want.Dir, InPlace: want.InPlace})
	if err != nil {
		return nil, err
	}
	if err := plan.ReplayTo(ctx, log, route, to); err != nil || want.Dir == "" || want.InPlace {
		return plan, err
	}
	return plan, plan.CheckTarget()
}

// Restore executes a plan: everything is laid down beside the target, proved, and then put in place.
func Restore(ctx context.Context, pl *RestorePlan, o RestoreOptions, p progress.Reporter) (RestoreReport, error) {
	return pl.Run(ctx, o, p)
}

// UndoRestore takes an unfinished restore in place into dir back: the folder is then what it was before. Error kinds: NotFound
// (none is unfinished), and those of [Restore].
func UndoRestore(ctx context.Context, r *Repo, dir string, o RestoreOptions, p progress.Reporter) error {
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}
	key, err := restore.UnfinishedIn(dir)
	if err != nil {
		return err
	}
	if key == "" {
		return uerr.New(uerr.NotFound, "take back the restore in place of", dir, errors.New("none is unfinished there"), "")
	}
	_, _, id, err := repo.ParseSnapshotKey(key)
	if err != nil {
		return uerr.New(uerr.Integrity, "take back the restore in place of", dir, err, "")
	}
	plan, err := PlanRestore(ctx, r, Target{Snapshot: id, Dir: dir, InPlace: true})
	if err != nil {
		return err
	}
	return plan.Undo(ctx, o, p)
}
