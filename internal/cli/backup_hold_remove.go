package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup"
	"practicectl/internal/uerr"
)

func (a *app) backupHoldRemoveCmd() *cobra.Command {
	var s storeFlags
	var owner string
	return a.leaf(leaf{
		Use: "remove SNAPSHOT", Short: "End the holds of a snapshot, with the owner key",
		Long: `Ends all holds of the snapshot, so that prune may forget it when the retention says so. Only the holder of the owner key
can: whoever takes this host over cannot. A lock of the store lasts until its time all the same.`,
		Examples: []string{"practicectl backup hold remove 3f9a1c --owner-key /media/usb/owner-signing.pem", "practicectl backup hold remove 3f9a1c --owner-key owner.pem --yes --json"},
		Args:     cobra.ExactArgs(1),
		Exits:    []uerr.Kind{uerr.Declined, uerr.NotFound, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.NoSpace, uerr.NeedConfirm},
		Flags: func(f *pflag.FlagSet) {
			s.bind(f)
			s.bindName(f)
			f.StringVar(&owner, "owner-key", "", "file of the owner key that backup init wrote (required)")
		},
		Run: func(ctx context.Context, r *run, args []string) error {
			if owner == "" {
				return usageError(r.cmd, errors.New("--owner-key is needed"))
			}
			repository, err := r.openForReading(ctx, s, identityFlags{})
			if err != nil {
				return err
			}
			d, err := backup.Show(ctx, repository, args[0])
			if err != nil {
				return err
			}
			if r.dryRun() {
				return r.showEnded([]backup.Hold{}, d.Snapshot.ID)
			}
			if err := r.confirm(moderate, "End all holds of snapshot "+d.Snapshot.ID+"?", "", ""); err != nil {
				return err
			}
			ended, err := backup.EndHolds(ctx, repository, d.Snapshot.ID, owner, r.now())
			if err != nil {
				return err
			}
			return r.showEnded(ended, d.Snapshot.ID)
		},
	})
}

func (r *run) showEnded(ended []backup.Hold, snapshot string) error {
	return r.result(ended, func(w io.Writer) {
		fmt.Fprintf(w, "ended %d holds of %s\n", len(ended), snapshot)
	})
}
