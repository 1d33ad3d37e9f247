package backup

import (
	"context"

	"practicectl/backup/restore"
	"practicectl/internal/progress"
)

// Target says what is restored where to.
type Target struct {
	Snapshot string // "latest" or the beginning of an id
	Dir      string // does not exist yet, or is empty; gets the folders pg, files and tablespaces. Empty: only to look
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
	plan, err := restore.NewPlan(ctx, r, s, restore.Want{Target: want.Dir})
	if err != nil || want.Dir == "" {
		return plan, err
	}
	return plan, plan.CheckTarget()
}

// Restore executes a plan: everything is laid down beside the target, proved, and then put in place.
func Restore(ctx context.Context, pl *RestorePlan, o RestoreOptions, p progress.Reporter) (RestoreReport, error) {
	return pl.Run(ctx, o, p)
}
