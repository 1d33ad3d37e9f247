package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"practicectl/internal/uerr"
)

func (a *app) scheduleListCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "list", Short: "List the scheduled jobs",
		Long:     "Lists the jobs that run by themselves, what runs them, when they run next and, where that is known, how the last run ended.",
		Examples: []string{"practicectl schedule list", "practicectl schedule list --json"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.Precond, uerr.Unreachable},
		Run: func(ctx context.Context, r *run, _ []string) error {
			l, err := r.layout()
			if err != nil {
				return err
			}
			ways, err := r.scheduleBackends(ctx, l)
			if err != nil {
				return err
			}
			rows := []scheduleRow{}
			for _, way := range ways {
				entries, err := way.List(ctx)
				if err != nil {
					return err
				}
				for _, e := range entries {
					rows = append(rows, scheduleRow{Entry: e})
				}
			}
			return r.result(rows, func(w io.Writer) {
				if len(rows) == 0 {
					fmt.Fprintln(w, "nothing is scheduled; start with: practicectl schedule install")
				}
				r.showSchedule(w, rows)
			})
		},
	})
}
