package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"practicectl/internal/uerr"
)

func (a *app) backupCopyCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "copy [NAME...]", Short: "Bring the copies of the repository up to date",
		Long: `Copies what the other stores lack, each [[backup.copy]] of the configuration or those that are named: first what a snapshot
needs, then the snapshot, so that a snapshot in a copy is always whole. "backup run" does the same after each snapshot. It
needs no key and reads from the main store only what a copy lacks; everything is compared with its name or signature first.

A copy that is away fails the command, not the other copies.`,
		Examples: []string{"practicectl backup copy", "practicectl backup copy nas --json"},
		Args:     cobra.ArbitraryArgs,
		Complete: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return a.copyNames(), cobra.ShellCompDirectiveNoFileComp
		},
		Exits: append([]uerr.Kind{uerr.LossGuard}, backupRunExits...),
		Run: func(ctx context.Context, r *run, args []string) error {
			c, err := r.config()
			if err != nil {
				return err
			}
			copies, err := chosenCopies(c, args)
			if err != nil {
				return err
			}
			ctx, release, err := r.lock(ctx, "backup", "backup copy")
			if err != nil {
				return err
			}
			defer release()
			repository, _, err := r.openForWriting(ctx)
			if err != nil {
				return err
			}
			results, problem := r.copySnapshots(ctx, repository, copies)
			if results == nil {
				return problem
			}
			if err := r.result(results, func(w io.Writer) { showCopies(w, results) }); err != nil {
				return err
			}
			return problem
		},
	})
}

func showCopies(w io.Writer, results []copyResult) {
	rows := [][]string{}
	for _, c := range results {
		text := fmt.Sprintf("%d objects, %s stored", c.Objects, size(c.Bytes))
		if c.Error != "" {
			text = "FAILED: " + c.Error
		}
		rows = append(rows, []string{"copy " + c.Name, text})
	}
	table(w, rows)
}
