package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/installer"
	"practicectl/internal/uerr"
)

func (a *app) uninstallCmd() *cobra.Command {
	var purge bool
	var confirmed string
	return a.leaf(leaf{
		Use: "uninstall", Short: "Take the programs away and keep the data",
		Long: `Stops the services, removes the schedule and takes the programs of the instance away. Database, configuration, keys and
receipts stay, and a later install adopts them.

With --purge-data they are deleted as well: then only the backups are left, and they open only with an identity that is kept
elsewhere. The name of the instance has to be typed, or given with --confirm.`,
		Examples: []string{"practicectl uninstall --yes", "practicectl uninstall --purge-data --confirm main"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.Declined, uerr.NotFound, uerr.Locked, uerr.Precond, uerr.LossGuard, uerr.NeedConfirm},
		Flags: func(f *pflag.FlagSet) {
			f.BoolVar(&purge, "purge-data", false, "also delete database, configuration, keys and logs")
			f.StringVar(&confirmed, "confirm", "", "name of the instance whose data are deleted, with --purge-data")
		},
		Run: func(ctx context.Context, r *run, _ []string) error { return r.uninstall(ctx, purge, confirmed) },
	})
}

func (r *run) uninstall(ctx context.Context, purge bool, confirmed string) error {
	l, err := r.layout()
	if err != nil {
		return err
	}
	inst, err := r.newInstaller(installer.Desired{})
	if err != nil {
		return err
	}
	plan, err := inst.PlanUninstall(purge)
	if err != nil {
		return err
	}
	if r.dryRun() {
		return r.result(plan, func(w io.Writer) { showRemoval(w, plan, "would be ") })
	}
	level, question := moderate, "stop the services of "+l.Instance+" and remove "+strings.Join(plan.Components, ", ")+"; the data stay"
	if purge {
		level, question = severe, "delete the database, the configuration and the keys of "+l.Instance+" in "+strings.Join(plan.Deleted, ", ")+" for ever"
	}
	if err := r.confirm(level, question, l.Instance, confirmed); err != nil {
		return err
	}
	ctx, unlock, err := r.lock(ctx, "install", "uninstall")
	if err != nil {
		return err
	}
	defer unlock()
	rem, err := inst.Uninstall(ctx, purge)
	if err != nil {
		return err
	}
	return r.result(rem, func(w io.Writer) { showRemoval(w, rem, "") })
}

func showRemoval(w io.Writer, rem installer.Removal, would string) {
	for _, c := range rem.Components {
		fmt.Fprintf(w, "%sremoved  %s\n", would, c)
	}
	for _, dir := range rem.Deleted {
		fmt.Fprintf(w, "%sdeleted  %s\n", would, dir)
	}
	for _, dir := range rem.Kept {
		fmt.Fprintf(w, "kept     %s\n", dir)
	}
}
