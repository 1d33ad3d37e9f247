package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup/drill"
	"practicectl/internal/uerr"
)

// drillRun are the flags of a drill.
type drillRun struct {
	snapshot, to, dir, bin, owner string
	random                        bool
	seed                          uint64
	rto, rpo                      time.Duration
}

func (d *drillRun) bind(f *pflag.FlagSet) {
	f.StringVar(&d.dir, "dir", "", "folder for the scratch instance, with room for a whole copy; default: beside the instance's data")
	f.StringVar(&d.bin, "postgres-bin", "", "folder of the PostgreSQL programs to start it with")
	f.StringVar(&d.owner, "owner", "", "account that PostgreSQL runs as; only as root")
	f.BoolVar(&d.random, "random", false, "restore any snapshot, left to chance, in place of the newest")
	f.StringVar(&d.to, "to", "random", "replay the streamed log to a random second, to its latest end, or only to the end of the snapshot: random, latest or snapshot")
	f.Uint64Var(&d.seed, "seed", 0, "repeat the choices of an earlier drill, which says its seed")
	f.DurationVar(&d.rto, "rto", 0, "objective for the time until everything is back; default 72h, or [drill] rto")
	f.DurationVar(&d.rpo, "rpo", 0, "objective for the age of what comes back; default 24h, or [drill] rpo")
}

func (a *app) drillRunCmd() *cobra.Command {
	var f drillFlags
	var i identityFlags
	var d drillRun
	return a.leaf(leaf{
		Use: "run [SNAPSHOT]", Short: "Prove that the backups can be restored",
		Long: `Restores a snapshot (the newest one, one left to chance with --random, or the one named) into a scratch folder, starts a real
PostgreSQL on it that nobody can reach, and asks everything: every index against every row, every page, every reference, and what
the practice promises about its data. It measures how long that takes and how old the newest restorable state is, compares
both with the objectives, and removes the copy, whatever happens. Where the log is streamed, it is replayed to a second left
to chance.

What it found is signed with a key of this machine, chained to what it found before, and stored in the repository and here.
It needs an identity: on a machine that only drills the configured one, elsewhere one that is brought for the run. The
practice's own server must not keep one.

Exit code 0: passed. 13: something does not hold. 21: all holds, and an objective was missed. Others: what it could not do;
that is evidence too.`,
		Examples: []string{
			"practicectl drill run --identity /media/usb/owner.key",
			"practicectl drill run --random --identity owner.key --store s3://clinic/main --endpoint https://s3.example.org --credentials-file s3.toml --prefix ~/drills",
			"practicectl drill run --cron",
		},
		Args:  cobra.MaximumNArgs(1),
		Enums: map[string][]string{"to": drill.Moments},
		Exits: []uerr.Kind{uerr.NotFound, uerr.Locked, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.NoSpace, uerr.NeedConfirm, uerr.Overdue, uerr.WALGap},
		Flags: func(fs *pflag.FlagSet) {
			f.bind(fs)
			i.bind(fs, "to restore with")
			d.bind(fs)
		},
		Run: func(ctx context.Context, r *run, args []string) error {
			switch {
			case d.random && len(args) > 0:
				return usageError(r.cmd, errors.New("--random and a named snapshot exclude each other"))
			case d.random:
				d.snapshot = "random"
			case len(args) > 0:
				d.snapshot = args[0]
			}
			if r.dryRun() {
				return r.lookAhead(ctx, f, i, d)
			}
			e, problem := r.drill(ctx, f, i, d)
			if e == nil {
				return problem
			}
			r.remember("drill", drillDetail(e), problem)
			if err := r.result(e, func(w io.Writer) { showDrill(w, e) }); err != nil {
				return err
			}
			return problem
		},
	})
}

// drillDetail is a drill in one line.
func drillDetail(e *drill.Evidence) string {
	if e.Snapshot == nil {
		return "drill " + fmt.Sprint(e.Number)
	}
	return fmt.Sprintf("snapshot of %s, back in %s", e.Snapshot.Created.Format(time.DateOnly), drill.Span(e.RTO.Seconds))
}

func showDrill(w io.Writer, e *drill.Evidence) {
	rows := [][]string{{"verdict", strings.ToUpper(string(e.Verdict))}, {"evidence", fmt.Sprintf("number %d of %s", e.Number, e.Host)}}
	if s := e.Snapshot; s != nil {
		rows = append(rows, []string{"snapshot", fmt.Sprintf("%s of %s, the %s one", s.ID[:12], s.Created.Format(time.RFC3339), s.Chosen)},
			[]string{"restored", fmt.Sprintf("%s in %d files", size(s.Bytes), s.Files)})
	}
	if e.Point != nil && e.Point.LSN != "" {
		rows = append(rows, []string{"to", fmt.Sprintf("%s (%s), %s", e.Point.Asked, e.Point.Reached.Format(time.RFC3339), e.Point.LSN)})
	}
	for _, p := range e.Phases {
		rows = append(rows, []string{"  " + p.Name, drill.Span(p.Seconds)})
	}
	for _, o := range []struct {
		name, what string
		drill.Objective
	}{{"RTO", "until proved", e.RTO}, {"RPO", "would have been lost", e.RPO}} {
		if o.Known {
			rows = append(rows, []string{o.name, fmt.Sprintf("%s %s, objective %s", drill.Span(o.Seconds), o.what, drill.Span(o.Limit))})
		}
	}
	for _, c := range e.Checks {
		state := fmt.Sprintf("ok, %d %s", c.Looked, c.At)
		switch {
		case len(c.Findings) > 0:
			state = fmt.Sprintf("FAILED, %d findings: %s", len(c.Findings)+c.More, c.Findings[0])
		case c.Skipped != "":
			state = "not done: " + c.Skipped
		}
		rows = append(rows, []string{"  " + c.Name, state})
	}
	table(w, append(rows, []string{"seed", fmt.Sprint(e.Seed)}))
}
