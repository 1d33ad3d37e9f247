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

	"practicectl/internal/uerr"
	"practicectl/updater"
)

// checked is the result of `update check`.
type checked struct {
	Current bool          `json:"current"` // nothing to do
	Plan    *updater.Plan `json:"plan,omitempty"`
	// Unfinished: a crash left an update open; update apply, update rollback or the agent finish it.
	Unfinished bool `json:"unfinished"`
}

func (a *app) updateCheckCmd() *cobra.Command {
	var wish updater.Wish
	var detailed bool
	return a.leaf(leaf{
		Use: "check", Short: "Show the update that is waiting, with its notes",
		Long: `Asks the release source, verifies its signatures and shows which version this machine would go to, what is in it and
what would happen. Nothing is installed. The users see the notice of the update from now on.

With --detailed-exitcode the exit code is 20 when an update is waiting.`,
		Examples: []string{"practicectl update check", "practicectl update check --json", "practicectl update check --detailed-exitcode"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.Pending},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&wish.Version, "to", "", "look at this version instead of the newest")
			f.BoolVar(&detailed, "detailed-exitcode", false, "exit 20 when an update is waiting")
		},
		Run: func(ctx context.Context, r *run, _ []string) error {
			u, err := r.newUpdater(readyWithin)
			if err != nil {
				return err
			}
			unfinished, err := u.Unfinished()
			if err != nil {
				return err
			}
			pl, err := u.Check(ctx, wish)
			if err != nil {
				return err
			}
			err = r.result(checked{Current: pl == nil, Plan: pl, Unfinished: unfinished}, func(w io.Writer) {
				if unfinished {
					fmt.Fprintln(w, "An update was interrupted and is not finished.  Finish or undo it: practicectl update rollback")
				}
				showPlan(w, pl, r.now())
			})
			if err == nil && detailed && pl != nil {
				return uerr.New(uerr.Pending, "an update is waiting:", pl.Transition.To, nil, "practicectl update apply")
			}
			return err
		},
	})
}

// showPlan tells a person what an update would do.
func showPlan(w io.Writer, pl *updater.Plan, now time.Time) {
	if pl == nil {
		fmt.Fprintln(w, "This machine is current.")
		return
	}
	t := pl.Transition
	if pl.Severity == "" { // a rollback by hand
		fmt.Fprintf(w, "%s -> %s   the data stay as they are\n  components  %s\n", t.From, t.To, strings.Join(t.Names(), ", "))
		return
	}
	fmt.Fprintf(w, "%s -> %s   %s, released %s\n", t.From, t.To, pl.Severity, pl.Released.Format(time.DateOnly))
	fmt.Fprintf(w, "  why         %s\n", pl.Why)
	fmt.Fprintf(w, "  components  %s\n", strings.Join(t.Names(), ", "))
	fmt.Fprintf(w, "  download    %s, %s on disk\n", size(pl.Download), size(pl.Disk))
	switch {
	case pl.CopiesDB:
		fmt.Fprintf(w, "  database    schema %d -> %d; the stopped database (%s) is copied first as the way back\n", t.SchemaFrom, t.SchemaTo, size(pl.Database))
	case t.SchemaTo > t.SchemaFrom:
		fmt.Fprintf(w, "  database    schema %d -> %d; the version before runs on it too\n", t.SchemaFrom, t.SchemaTo)
	}
	switch {
	case pl.Mandatory:
		fmt.Fprintln(w, "  mandatory   now")
	case pl.MandatoryAfter != nil:
		fmt.Fprintf(w, "  mandatory   after %s\n", pl.MandatoryAfter.Local().Format(time.DateTime))
	}
	if now.Before(pl.NotBefore) {
		fmt.Fprintf(w, "  notice      not before %s: the users are told until then\n", pl.NotBefore.Local().Format(time.DateTime))
	}
	if pl.Then != "" {
		fmt.Fprintf(w, "  then        %s, in a second update\n", pl.Then)
	}
	for _, s := range pl.Skipped {
		fmt.Fprintf(w, "  left out    %s: %s\n", s.Version, s.Why)
	}
	if pl.Stale {
		fmt.Fprintf(w, "  stale       the source's signatures ended %s; bring newer media or reach the vendor\n", pl.Expires.Local().Format(time.DateTime))
	}
	if pl.Notes != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(pl.Notes))
	}
	fmt.Fprintln(w, "\nInstall it: practicectl update apply")
}

// reportTold says what a finished update or rollback came to.
func reportTold(w io.Writer, rep updater.Report) {
	if rep.Recovered != nil {
		fmt.Fprintf(w, "An interrupted change to %s was first brought to its end: %s.\n", rep.Recovered.Transition.To, rep.Recovered.Outcome)
	}
	switch {
	case rep.Plan == nil:
		fmt.Fprintf(w, "Version %s runs; nothing to do.\n", rep.Version)
	default:
		fmt.Fprintf(w, "%s -> %s   done, closed to users for %.1f s\n", rep.Plan.Transition.From, rep.Version, rep.Downtime)
	}
	if rep.Plan != nil && rep.Plan.Then != "" {
		fmt.Fprintf(w, "Next: %s, by practicectl update apply\n", rep.Plan.Then)
	}
}

// showPlanOnly is --dry-run of apply and rollback.
func showPlanOnly(r *run, pl *updater.Plan, detailed bool) error {
	if err := r.result(checked{Current: pl == nil, Plan: pl}, func(w io.Writer) { showPlan(w, pl, r.now()) }); err != nil {
		return err
	}
	if pl != nil && detailed {
		return uerr.New(uerr.Pending, "the plan has changes:", pl.Transition.To, errors.New("nothing was done"), "")
	}
	return nil
}
