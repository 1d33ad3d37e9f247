package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"practicectl/internal/uerr"
)

func (a *app) componentRemoveCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "remove COMPONENT...", Short: "Take components or modules away",
		Long: `Takes components away, and those that only they required. A component that another one requires is refused. Data in the
database stay.`,
		Examples: []string{"practicectl component remove accounting --yes", "practicectl component remove module-reports module-admin --yes"},
		Args:     cobra.MinimumNArgs(1), Complete: completeComponents,
		Exits: []uerr.Kind{uerr.Declined, uerr.NotFound, uerr.Locked, uerr.Precond, uerr.NeedConfirm},
		Run: func(ctx context.Context, r *run, args []string) error {
			names, err := componentNames(args)
			if err != nil {
				return err
			}
			d, err := r.onMachine("")
			if err != nil {
				return err
			}
			inst, err := r.newInstaller(d)
			if err != nil {
				return err
			}
			gone, err := inst.Removable(names)
			if err != nil {
				return err
			}
			if !r.dryRun() {
				if err := r.confirm(moderate, "remove "+strings.Join(gone, ", "), "", ""); err != nil {
					return err
				}
				ctx, unlock, err := r.lock(ctx, "install", "component remove")
				if err != nil {
					return err
				}
				defer unlock()
				if gone, err = inst.Remove(ctx, d, names); err != nil {
					return err
				}
			}
			return r.result(map[string]any{"removed": gone, "dry_run": r.dryRun()}, func(w io.Writer) {
				fmt.Fprintln(w, map[bool]string{true: "would remove", false: "removed"}[r.dryRun()], strings.Join(gone, ", "))
			})
		},
	})
}
