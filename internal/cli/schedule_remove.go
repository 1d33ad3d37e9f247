package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/uerr"
)

func (a *app) scheduleRemoveCmd() *cobra.Command {
	var all bool
	return a.leaf(leaf{
		Use: "remove [JOB...]", Short: "Stop running jobs by themselves",
		Long:     "Removes jobs from the schedule, whatever runs them. A run that goes on is not stopped.",
		Examples: []string{"practicectl schedule remove verify", "practicectl schedule remove --all"},
		Args:     cobra.ArbitraryArgs,
		Complete: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return scheduledNames(), cobra.ShellCompDirectiveNoFileComp
		},
		Exits: []uerr.Kind{uerr.NotFound, uerr.Precond, uerr.Unreachable},
		Flags: func(f *pflag.FlagSet) { f.BoolVar(&all, "all", false, "remove every job of the instance") },
		Run: func(ctx context.Context, r *run, args []string) error {
			if all == (len(args) > 0) {
				return uerr.New(uerr.Usage, "", "", errors.New("name the jobs, or give --all"), "practicectl schedule list")
			}
			l, err := r.layout()
			if err != nil {
				return err
			}
			if all {
				args = nil
			}
			var removed []string
			if !r.dryRun() {
				if removed, err = r.removeJobs(ctx, l, args); err != nil {
					return err
				}
				if len(removed) == 0 {
					return uerr.New(uerr.NotFound, "remove from the schedule", "", errors.New("no such job is scheduled"), "practicectl schedule list")
				}
			}
			return r.result(map[string]any{"removed": removed, "dry_run": r.dryRun()}, func(w io.Writer) {
				for _, name := range removed {
					fmt.Fprintln(w, "removed", name)
				}
			})
		},
	})
}
