package backup

import (
	"context"
	"errors"
	"path/filepath"

	"practicectl/backup/repo"
	"practicectl/backup/restore"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// Target says what is restored where to.
type Target struct {
	Snapshot string   // "latest" or the beginning of an id
	Dir      string   // does not exist yet, or is empty; gets the folders pg, files and tablespaces. Empty: only to look
	InPlace  bool     // Dir is a stopped database's data folder, or what an earlier restore made, and becomes the snapshot by its differences
	Paths    []string // only these files and folders, such as "files/etc/practice/*"; none: everything
}

// RestorePlan is what a restore will do; see [restore.Plan].
type RestorePlan = restore.Plan

// RestoreOptions of a restore; see [restore.Options].
type RestoreOptions = restore.Options

// RestoreReport is what a restore did.
type RestoreReport = restore.Report

// PlanRestore opens the snapshot and says what restoring it would read and write. It writes nothing. Error kinds: NotFound,
// Auth (no identity fits), Integrity, Unreachable; LossGuard and NoSpace come with the plan.
func PlanRestore(ctx context.Context, r *Repo, want Target) (*RestorePlan, error) {
	s, err := r.Find(ctx, want.Snapshot)
	if err != nil {
		return nil, err
	}
	plan, err := restore.NewPlan(ctx, r, s, restore.Want{Target: want.Dir, InPlace: want.InPlace, Paths: want.Paths})
	if err != nil || want.Dir == "" || want.InPlace {
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
