package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"practicectl/internal/uerr"
	"practicectl/updater"
)

func (a *app) updateHistoryCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "history", Short: "List updates and rollbacks with their outcome",
		Long: `Lists every update and rollback of this machine: from which version to which, when, how it ended and why. Each line of the
file behind it carries the hash of the line before; a changed or missing line is an integrity error, exit code 13.`,
		Examples: []string{"practicectl update history", "practicectl update history --json"},
		Args:     cobra.NoArgs,
		NoFiles:  true,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Integrity, uerr.Precond},
		Run: func(_ context.Context, r *run, _ []string) error {
			u, err := r.newUpdater(readyWithin)
			if err != nil {
				return err
			}
			entries, err := u.History()
			if err != nil {
				return err
			}
			return r.result(struct {
				Entries []updater.Entry `json:"entries"`
			}{entries}, func(w io.Writer) { showHistory(w, entries) })
		},
	})
}

func showHistory(w io.Writer, entries []updater.Entry) {
	if len(entries) == 0 {
		fmt.Fprintln(w, "No update yet.")
		return
	}
	rows := [][]string{{"WHEN", "WHAT", "FROM", "TO", "OUTCOME", "REASON"}}
	for _, e := range entries {
		t := e.Transition
		reason := e.Reason
		if e.Step != "" {
			reason = e.Step + ": " + reason
		}
		if t.Remark != "" {
			reason += " (notice set aside: " + t.Remark + ")"
		}
		rows = append(rows, []string{e.When.Local().Format(time.DateTime), t.Action, t.From, t.To, e.Outcome, strings.ReplaceAll(reason, "\n", "; ")})
	}
	table(w, rows)
}
