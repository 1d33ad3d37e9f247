package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"practicectl/internal/svc/runs"
	"practicectl/internal/uerr"
)

func (a *app) jobLastCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "last [JOB]", Short: "Show how the last run of a job went, and its log",
		Long:     "Shows the last run of a job, or of any job: when, how it ended, its result, and the last 100 lines of its log.",
		Examples: []string{"practicectl job last", "practicectl job last backup --json"},
		Args:     cobra.MaximumNArgs(1),
		NoFiles:  true,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Precond},
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
			if len(all) == 0 {
				return uerr.New(uerr.NotFound, "show the last run of", "the jobs", errors.New("nothing has run yet"), "practicectl job run backup")
			}
			return r.result(all[0], func(w io.Writer) { showRun(w, r, all[0]) })
		},
	})
}

func showRun(w io.Writer, r *run, one runs.Run) {
	rows := [][]string{{"run", one.ID}, {"started", one.Started.In(r.location()).Format(time.DateTime)}, {"took", took(one)}, {"ended", outcome(one)}}
	if one.Hint != "" {
		rows = append(rows, []string{"do", one.Hint})
	}
	table(w, append(rows, []string{"log", one.Log}))
	if lines, err := runs.Tail(one.Log, tailLines); err == nil {
		for _, line := range lines {
			fmt.Fprintln(w, " ", line)
		}
	}
}
