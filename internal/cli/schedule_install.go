package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/svc/schedule"
	"practicectl/internal/uerr"
)

// scheduleRow is one job in the results of the schedule commands.
type scheduleRow struct {
	schedule.Entry
	Changed bool `json:"changed"`
}

func (a *app) scheduleInstallCmd() *cobra.Command {
	var at, with string
	return a.leaf(leaf{
		Use: "install [JOB...]", Short: "Run jobs by themselves, such as the nightly backup",
		Long: `Makes jobs run by themselves: backup (nightly), verify (weekly), prune (weekly), drill (weekly, on a machine with [drill]
identity), update (nightly), mirror (nightly), and agent, which starts the agent with the machine. Without a name it is backup.
They run as a systemd timer, in your crontab or in the agent, whatever works here; --with chooses. Other lines of the crontab
stay as they are. Each machine starts up to half an hour later than the time given, always by the same
amount, so that not all start at once. A run that was missed is made up for by systemd and the agent.

A job is silent when it succeeds, fails with an exit code when it does not, and never overlaps itself.`,
		Examples: []string{"practicectl schedule install backup agent", "practicectl schedule install backup --at 23:30", "practicectl schedule install verify --at 'sun 05:00' --with agent"},
		Args:     cobra.ArbitraryArgs,
		Complete: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return scheduledNames(), cobra.ShellCompDirectiveNoFileComp
		},
		Exits: []uerr.Kind{uerr.NotFound, uerr.Precond, uerr.Unreachable},
		Enums: map[string][]string{"with": scheduleWays},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&at, "at", "", "time of day, or days and time, such as 02:30 or \"mon,thu 22:00\"; default: the job's own")
			f.StringVar(&with, "with", "auto", "what runs the jobs: auto, systemd, cron or agent")
		},
		Run: func(ctx context.Context, r *run, args []string) error {
			if len(args) == 0 {
				args = []string{"backup"}
			}
			rows, err := r.scheduleJobs(ctx, args, at, with)
			if err != nil {
				return err
			}
			return r.result(rows, func(w io.Writer) { r.showSchedule(w, rows) })
		},
	})
}

// scheduleJobs installs each job in one backend and removes them from all others, so that none runs twice.
func (r *run) scheduleJobs(ctx context.Context, names []string, at, with string) ([]scheduleRow, error) {
	l, err := r.layout()
	if err != nil {
		return nil, err
	}
	if _, err := r.config(); err != nil {
		return nil, err
	}
	ways, err := r.scheduleBackends(ctx, l)
	if err != nil {
		return nil, err
	}
	rows := []scheduleRow{}
	for _, name := range names {
		job, err := r.job(l, name, at)
		if err != nil {
			return nil, err
		}
		way, err := scheduleWay(ways, with, job)
		if err != nil {
			return nil, err
		}
		row := scheduleRow{Entry: schedule.Entry{Job: job, Backend: way.Name()}, Changed: true}
		if !r.dryRun() {
			if row.Changed, err = way.Install(ctx, job); err != nil {
				return nil, err
			}
			for _, other := range ways {
				if other.Name() == way.Name() {
					continue
				}
				if _, err := other.Remove(ctx, name); err != nil {
					return nil, err
				}
			}
			if err := want(l, func(jobs map[string]wanted) {
				if old, ok := jobs[name]; !ok || old.When.String() != job.When.String() {
					jobs[name] = wanted{job.When, r.now().UTC()}
				}
			}); err != nil {
				return nil, err
			}
			entries, err := way.List(ctx)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				if e.Name == name {
					row.Entry = e
				}
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (r *run) showSchedule(w io.Writer, rows []scheduleRow) {
	lines := [][]string{}
	for _, row := range rows {
		next, last := "", ""
		if !row.Next.IsZero() {
			next = "next " + row.Next.In(r.location()).Format("Mon 2006-01-02 15:04 MST")
		}
		if row.Last != nil {
			last = fmt.Sprintf("last %s, exit %d", row.Last.Started.In(r.location()).Format(time.DateTime), row.Last.Exit)
		}
		lines = append(lines, []string{row.Name, row.When.String(), row.Backend, next, last})
	}
	table(w, lines)
}
