package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"practicectl/internal/svc/schedule"
	"practicectl/internal/uerr"
)

func (a *app) scheduleCheckCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "check", Short: "Say whether every scheduled job has run",
		Long: `Compares each scheduled job with the runs that there should have been, in the practice's time zone, also where the clock
changes. A job is late when one run is missing (a nightly one after 26 hours) and overdue when two are (50 hours); a run by
hand counts as well. It notices too when nothing runs a job any more, and when the clock is wrong.

Exit code 0: all ran, or one is late. 21: a job is overdue, or the clock is wrong. 10: nothing is scheduled.`,
		Examples: []string{"practicectl schedule check", "practicectl schedule check --json"},
		Args:     cobra.NoArgs,
		NoFiles:  true,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Precond, uerr.Unreachable, uerr.Overdue},
		Run: func(ctx context.Context, r *run, _ []string) error {
			l, err := r.layout()
			if err != nil {
				return err
			}
			if _, err := r.config(); err != nil {
				return err
			}
			jobs, err := r.lateness(ctx, l)
			if err != nil {
				return err
			}
			if len(jobs) == 0 {
				return uerr.New(uerr.NotFound, "check the schedule", "", errors.New("nothing is scheduled"), "practicectl schedule install")
			}
			if err := r.result(jobs, func(w io.Writer) { r.showLateness(w, jobs) }); err != nil {
				return err
			}
			for _, j := range jobs {
				if j.State == schedule.Overdue || j.State == schedule.ClockWrong {
					return uerr.New(uerr.Overdue, "a job did not run:", "", errors.New(j.Problem), "practicectl job run "+j.Name)
				}
			}
			return nil
		},
	})
}

func (r *run) showLateness(w io.Writer, jobs []lateJob) {
	rows := [][]string{}
	for _, j := range jobs {
		last := "never"
		if !j.Succeeded.IsZero() {
			last = "succeeded " + j.Succeeded.In(r.location()).Format(time.DateTime)
		}
		rows = append(rows, []string{j.Name, j.When.String(), j.Runner, last, j.State.String()})
	}
	table(w, rows)
	for _, j := range jobs {
		if j.Problem != "" {
			fmt.Fprintln(w, "problem:", j.Problem)
		}
	}
}
