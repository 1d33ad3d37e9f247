package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/svc/runs"
	"practicectl/internal/uerr"
)

func (a *app) jobHistoryCmd() *cobra.Command {
	var count int
	return a.leaf(leaf{
		Use: "history [JOB]", Short: "List the runs of the jobs, the newest first",
		Long: `Lists what ran by itself or with "job run": when, how long, and how it ended. The newest 100 runs of each job are kept,
each with its log.`,
		Examples: []string{"practicectl job history", "practicectl job history backup --count 5 --json"},
		Args:     cobra.MaximumNArgs(1),
		NoFiles:  true,
		Exits:    []uerr.Kind{uerr.Precond},
		Flags:    func(f *pflag.FlagSet) { f.IntVar(&count, "count", 20, "how many runs") },
		Complete: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return jobNames(), cobra.ShellCompDirectiveNoFileComp
		},
		Run: func(_ context.Context, r *run, args []string) error {
			l, err := r.layout()
			if err != nil {
				return err
			}
			job := ""
			if len(args) > 0 {
				job = args[0]
			}
			all, err := keeperOf(l, r.now).List(job)
			if err != nil {
				return err
			}
			all = append([]runs.Run{}, all[:min(max(count, 0), len(all))]...)
			return r.result(all, func(w io.Writer) {
				rows := [][]string{}
				for _, one := range all {
					rows = append(rows, []string{one.ID, one.Started.In(r.location()).Format(time.DateTime), took(one), outcome(one)})
				}
				if len(all) == 0 {
					fmt.Fprintln(w, "nothing has run yet")
				}
				table(w, rows)
			})
		},
	})
}

// took is how long a run took, for people.
func took(one runs.Run) string {
	if one.Ended.IsZero() {
		return ""
	}
	return one.Ended.Sub(one.Started).Round(100 * time.Millisecond).String()
}

// outcome is how a run ended, for people.
func outcome(one runs.Run) string {
	switch {
	case one.Ended.IsZero():
		return "runs, or was killed"
	case one.Exit == 0:
		return "done"
	}
	return fmt.Sprintf("exit %d: %s", one.Exit, one.Error)
}
