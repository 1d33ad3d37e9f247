package cli

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/installer"
	"practicectl/internal/uerr"
)

func (a *app) componentAddCmd() *cobra.Command {
	var detailed bool
	return a.leaf(leaf{
		Use: "add COMPONENT...", Short: "Install more components or modules",
		Long: `Installs more components beside those that are here, with everything they require, in the version that the others have.
Nothing else is touched. Modules may be named without their prefix: "accounting".`,
		Examples: []string{"practicectl component add accounting", "practicectl component add module-reports --dry-run"},
		Args:     cobra.MinimumNArgs(1), Complete: completeComponents,
		Exits: []uerr.Kind{uerr.NotFound, uerr.Locked, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.NoSpace, uerr.Pending},
		Flags: func(f *pflag.FlagSet) {
			f.BoolVar(&detailed, "detailed-exitcode", false, "with --dry-run: exit 20 when there is something to do")
		},
		Run: func(ctx context.Context, r *run, args []string) error {
			if err := installer.RefuseRoot(os.Geteuid(), r.asUser()); err != nil {
				return err
			}
			names, err := componentNames(args)
			if err != nil {
				return err
			}
			if _, err := r.config(); err != nil { // nothing to add to
				return err
			}
			d, err := r.onMachine("")
			if err != nil {
				return err
			}
			addComponents(&d, names)
			return r.install(ctx, d, "", detailed)
		},
	})
}
