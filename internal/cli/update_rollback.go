package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/uerr"
	"practicectl/updater"
)

func (a *app) updateRollbackCmd() *cobra.Command {
	var within time.Duration
	return a.leaf(leaf{
		Use: "rollback", Short: "Go back to the version before the last update",
		Long: `Undoes an interrupted update, or goes back to the version before the last one. The data stay as they are now, so it is
refused with exit code 18 where the old version could not work with them. The version that was left is not installed again
unattended.`,
		Examples: []string{"practicectl update rollback", "practicectl update rollback --dry-run"},
		Args:     cobra.NoArgs,
		Exits: []uerr.Kind{uerr.Incomplete, uerr.Declined, uerr.NotFound, uerr.Locked, uerr.Integrity, uerr.Precond, uerr.LossGuard, uerr.NeedConfirm,
			uerr.Unreachable},
		Flags: func(f *pflag.FlagSet) {
			f.DurationVar(&within, "ready-within", readyWithin, "give up the rollback when the old version is not ready after this time")
		},
		Run: func(ctx context.Context, r *run, _ []string) error {
			u, err := r.newUpdater(within)
			if err != nil {
				return err
			}
			unfinished, err := u.Unfinished()
			if err != nil {
				return err
			}
			if unfinished && r.dryRun() {
				return r.result(checked{Unfinished: true}, func(w io.Writer) { fmt.Fprintln(w, "The interrupted update would be brought to its end.") })
			}
			if !unfinished {
				t, err := u.PlanRollback()
				if err != nil {
					return err
				}
				if r.dryRun() {
					return showPlanOnly(r, &updater.Plan{Transition: t, Why: "asked for"}, false)
				}
				if err := r.confirm(moderate, fmt.Sprintf("Go back from %s to %s?", t.From, t.To), "", ""); err != nil {
					return err
				}
			}
			ctx, release, err := r.lockForUpdate(ctx, "update rollback")
			if err != nil {
				return err
			}
			defer release()
			rep, err := u.Rollback(ctx)
			if err != nil {
				return err
			}
			return r.result(rep, func(w io.Writer) { reportTold(w, rep) })
		},
	})
}
