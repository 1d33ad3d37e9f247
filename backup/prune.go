package backup

import (
	"context"

	"practicectl/backup/collect"
)

// PruneOptions of a prune; see [collect.Options].
type PruneOptions = collect.Options

// PrunePlan is what a prune will do; see [collect.Plan].
type PrunePlan = collect.Plan

// PruneReport is what a prune did; see [collect.Report].
type PruneReport = collect.Report

// PlanPrune tells which snapshots fall out of the retention and what nobody needs any more. It writes nothing and needs no
// key. Error kinds: LossGuard, Auth, Unreachable.
func PlanPrune(ctx context.Context, r *Repo, o PruneOptions) (*PrunePlan, error) {
	return collect.NewPlan(ctx, r, o)
}
