package cli

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/uerr"
	"practicectl/updater"
)

func (a *app) updateApplyCmd() *cobra.Command {
	var q updater.Request
	var detailed bool
	var within time.Duration
	return a.leaf(leaf{
		Use: "apply", Short: "Install the update that is waiting",
		Long: `Brings every component of this machine to the newest version that it may have: fetched and verified beside the running
version, then switched in one step. The server is closed to users while the database is migrated; a probe decides whether
the new version stays. When it does not get ready, the old version runs again by itself with the data as they were, and
the exit code is 1.

It can be interrupted at any moment, even by a power cut: the next run, the agent or "update rollback" brings the machine
to exactly the old or exactly the new version.

With --cron, versions that failed here before and major versions wait until somebody names them or they are mandatory.`,
		Examples: []string{"practicectl update apply", "practicectl update apply --to 1.4.1 --yes", "practicectl update apply --cron"},
		Args:     cobra.NoArgs,
		Exits: []uerr.Kind{uerr.Incomplete, uerr.Declined, uerr.NotFound, uerr.Locked, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.NoSpace,
			uerr.LossGuard, uerr.NeedConfirm, uerr.Pending},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&q.Version, "to", "", "install this version instead of the newest")
			f.StringVar(&q.SkipNotice, "skip-notice", "", "install before the end of the notice to the users, for this `REASON`; it is kept in the history")
			f.DurationVar(&within, "ready-within", readyWithin, "go back when the new version is not ready after this time")
			f.BoolVar(&detailed, "detailed-exitcode", false, "with --dry-run: exit 20 when there is something to do")
		},
		Run: func(ctx context.Context, r *run, _ []string) error {
			u, err := r.newUpdater(within)
			if err != nil {
				return err
			}
			q.Unattended = r.global.cron
			if r.dryRun() {
				q.DryRun = true
				pl, err := u.Check(ctx, q.Wish)
				if err != nil {
					return err
				}
				return showPlanOnly(r, pl, detailed)
			}
			ctx, release, err := r.lockForUpdate(ctx, "update apply")
			if err != nil {
				return err
			}
			defer release()
			rep, err := u.Update(ctx, q)
			if err != nil {
				return err
			}
			if rep.Plan != nil {
				if err := r.afterUpdate(ctx, rep.Version); err != nil {
					return err
				}
			}
			return r.result(rep, func(w io.Writer) { reportTold(w, rep) })
		},
	})
}
