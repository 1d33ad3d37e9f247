package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup"
	"practicectl/internal/uerr"
)

func (a *app) backupHoldAddCmd() *cobra.Command {
	var until, reason string
	return a.leaf(leaf{
		Use: "add SNAPSHOT", Short: "Keep a snapshot, whatever the retention says",
		Long: `Keeps the snapshot, named by the beginning of its id or "latest", until a day: prune never forgets it before. In a store
that locks objects, the snapshot and all that it needs are locked for as long, so nobody can delete it, and the time cannot be
taken back. The reason is readable for everyone who reaches the store: write no patient's name into it.`,
		Examples: []string{`practicectl backup hold add latest --reason "before the move"`, `practicectl backup hold add 3f9a1c --until 2036-12-31 --reason "court order 7 of 2026"`},
		Args:     cobra.ExactArgs(1),
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.NoSpace, uerr.WeakLock},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&until, "until", "", "day on which the hold ends, YYYY-MM-DD; default: in a year")
			f.StringVar(&reason, "reason", "", "why, in one line")
		},
		Run: func(ctx context.Context, r *run, args []string) error {
			o := backup.HoldOptions{Snapshot: args[0], Until: r.now().AddDate(1, 0, 0), Reason: reason, Now: r.now()}
			if until != "" {
				day, err := time.Parse(time.DateOnly, until)
				if err != nil {
					return usageError(r.cmd, fmt.Errorf("--until %q is no day such as 2036-12-31", until))
				}
				o.Until = day
			}
			repository, _, err := r.openForWriting(ctx)
			if err != nil {
				return err
			}
			if r.dryRun() {
				d, err := backup.Show(ctx, repository, o.Snapshot)
				if err != nil {
					return err
				}
				return r.showHold(backup.Hold{Snapshot: d.Snapshot.ID, Host: repository.Keys.Pin.Host, Created: o.Now.UTC(), Until: o.Until.UTC(), Reason: reason})
			}
			h, err := backup.AddHold(ctx, repository, o)
			if err != nil {
				return err
			}
			return r.showHold(h)
		},
	})
}

func (r *run) showHold(h backup.Hold) error {
	return r.result(h, func(w io.Writer) {
		table(w, [][]string{{"snapshot", h.Snapshot}, {"held until", h.Until.Format(time.DateOnly)}, {"reason", h.Reason}})
	})
}
