package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/nodeid"
	"practicectl/internal/svc/schedule"
	"practicectl/internal/uerr"
)

// nextRun is one run to come.
type nextRun struct {
	Job string    `json:"job"`
	At  time.Time `json:"at"`
}

func (a *app) scheduleNextCmd() *cobra.Command {
	var count int
	return a.leaf(leaf{
		Use: "next [JOB]", Short: "Show when the scheduled jobs run next",
		Long: `Shows the next runs of all scheduled jobs, or of one, with this machine's own delay of up to half an hour. A local time
that the change of the clock skips runs as much later, one that comes twice runs once. With systemd the delay is systemd's own,
up to half an hour as well.`,
		Examples: []string{"practicectl schedule next", "practicectl schedule next backup --count 7 --json"},
		Args:     cobra.MaximumNArgs(1),
		NoFiles:  true,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Precond, uerr.Unreachable},
		Flags:    func(f *pflag.FlagSet) { f.IntVar(&count, "count", 5, "how many runs") },
		Complete: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return jobNames(), cobra.ShellCompDirectiveNoFileComp
		},
		Run: func(ctx context.Context, r *run, args []string) error {
			runs, err := r.nextRuns(ctx, args, count)
			if err != nil {
				return err
			}
			return r.result(runs, func(w io.Writer) {
				for _, one := range runs {
					fmt.Fprintf(w, "%s  %s\n", one.At.In(r.location()).Format("Mon 2006-01-02 15:04 MST"), one.Job)
				}
			})
		},
	})
}

func (r *run) nextRuns(ctx context.Context, only []string, count int) ([]nextRun, error) {
	l, err := r.layout()
	if err != nil {
		return nil, err
	}
	if _, err := r.config(); err != nil {
		return nil, err
	}
	id, err := nodeid.Read(nodeid.Path(l))
	if err != nil {
		return nil, uerr.New(uerr.Precond, "read", nodeid.Path(l), err, "")
	}
	ways, err := r.scheduleBackends(ctx, l)
	if err != nil {
		return nil, err
	}
	runs := []nextRun{}
	for _, way := range ways {
		entries, err := way.List(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.When.Boot || len(only) > 0 && !slices.Contains(only, e.Name) {
				continue
			}
			when := e.When.Plus(schedule.Jitter(id, e.Name))
			for at, n := when.Next(r.now(), r.location()), 0; n < count; at, n = when.Next(at, r.location()), n+1 {
				runs = append(runs, nextRun{e.Name, at})
			}
		}
	}
	if len(runs) == 0 {
		return nil, uerr.New(uerr.NotFound, "show the next runs", "", errors.New("no such job is scheduled"), "practicectl schedule install")
	}
	slices.SortFunc(runs, func(a, b nextRun) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Job, b.Job)) })
	return runs[:min(count, len(runs))], nil
}
