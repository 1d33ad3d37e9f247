package cli

import (
	"context"
	"errors"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup"
)

// undone is what restore undo reports.
type undone struct {
	Target string `json:"target"`
}

func (a *app) restoreUndoCmd() *cobra.Command {
	var o restoreOptions
	var p proofOptions
	return a.leaf(leaf{
		Use: "undo", Short: "Take an unfinished restore in place back",
		Long: `A restore in place that was cut off leaves a folder TARGET.undo with everything that it has overwritten. This command puts
all of it back, so that the target is what it was before. Nothing is lost by trying the restore again instead: the same
restore run --in-place finishes it.

The snapshot is opened, too: once the copy was started to prove it, PostgreSQL has changed more than was kept, and that is
laid again from the snapshot first.`,
		Examples: []string{
			"practicectl restore undo --target /srv/practice/var/lib/practice/main/pg --identity /media/usb/owner.key",
			"practicectl restore undo --target ./copy --identity owner.key --store /mnt/nas/backup",
		},
		Args:  cobra.NoArgs,
		Exits: restoreExits,
		Flags: func(f *pflag.FlagSet) {
			o.storeFlags.bind(f)
			o.identityFlags.bind(f, "to open the snapshot with (required)")
			f.StringVar(&o.ownerKey, "owner-key", "", "owner key that backup init wrote: refuse a repository of anybody else")
			f.StringVar(&o.target, "target", "", "folder whose restore was cut off")
			f.StringVar(&p.owner, "owner", "", "account that the files are given to; only as root")
		},
		Run: func(ctx context.Context, r *run, _ []string) error {
			if o.target == "" || len(o.files) == 0 {
				return usageError(r.cmd, errors.New("--target DIR and --identity FILE are needed"))
			}
			target, err := filepath.Abs(o.target)
			if err != nil {
				return err
			}
			repository, err := r.openOf(ctx, o.storeFlags, o.identityFlags, o.ownerKey)
			if err != nil {
				return err
			}
			own, _, err := owner(p.owner, target)
			if err != nil {
				return err
			}
			if r.dryRun() {
				return r.result(undone{target}, func(w io.Writer) { table(w, [][]string{{"would take back", target}}) })
			}
			if err := backup.UndoRestore(ctx, repository, target, backup.RestoreOptions{Now: r.now, Own: own}, r.progress); err != nil {
				return err
			}
			return r.result(undone{target}, func(w io.Writer) { table(w, [][]string{{"as it was before", target}}) })
		},
	})
}
