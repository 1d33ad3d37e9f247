package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup"
	"practicectl/internal/uerr"
)

// restoreOptions are the flags that plan and run share.
type restoreOptions struct {
	storeFlags
	identityFlags
	target, ownerKey string
}

func (o *restoreOptions) bind(f *pflag.FlagSet) {
	o.storeFlags.bind(f)
	f.StringVar(&o.name, "from-copy", "", "name of a [[backup.copy]] to read from first, instead of the main store")
	o.identityFlags.bind(f, "to restore with (required)")
	f.StringVar(&o.ownerKey, "owner-key", "", "owner key that backup init wrote: refuse a repository of anybody else")
	f.StringVar(&o.target, "target", "", "new or empty folder for the restored copy")
}

// restoreExits are the exit codes of a restore and its plan.
var restoreExits = []uerr.Kind{uerr.NotFound, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.NoSpace, uerr.LossGuard, uerr.NeedConfirm}

func (a *app) restorePlanCmd() *cobra.Command {
	var o restoreOptions
	return a.leaf(leaf{
		Use: "plan SNAPSHOT", Short: "Show what a restore would do",
		Long: `Opens a snapshot with the identity, reads its trees and shows what a restore would read and write and whether the disk has
room for it in --target. Nothing is written. The snapshot is named by the beginning of its id or "latest".`,
		Examples: []string{
			"practicectl restore plan latest --identity /media/usb/owner.key",
			"practicectl restore plan 3f9a1c --identity owner.key --target ./copy --store /mnt/nas/backup --json",
		},
		Args:  cobra.ExactArgs(1),
		Exits: restoreExits,
		Flags: o.bind,
		Run: func(ctx context.Context, r *run, args []string) error {
			plan, err := r.planRestore(ctx, o, args[0])
			if err != nil {
				return err
			}
			return r.showRestorePlan(plan)
		},
	})
}

func (r *run) planRestore(ctx context.Context, o restoreOptions, snapshot string) (*backup.RestorePlan, error) {
	if len(o.files) == 0 {
		return nil, usageError(r.cmd, errors.New("--identity FILE is needed"))
	}
	target := o.target
	if target != "" {
		var err error
		if target, err = filepath.Abs(target); err != nil {
			return nil, err
		}
	}
	repository, err := r.openEither(ctx, o)
	if err != nil {
		return nil, err
	}
	if repository.Keys.Pin == nil && o.ownerKey == "" {
		r.progress.Warn("nothing proves whose repository %s is, and anybody can encrypt to public keys: give --owner-key FILE", repository.Store)
	}
	return backup.PlanRestore(ctx, repository, backup.Target{Snapshot: snapshot, Dir: target})
}

func (r *run) showRestorePlan(p *backup.RestorePlan) error {
	return r.result(p, func(w io.Writer) {
		rows := [][]string{{"snapshot", p.Snapshot.ID[:12] + " of " + p.Snapshot.Created.Format(time.RFC3339)},
			{"write", fmt.Sprintf("%s in %d files", size(p.Bytes), p.Files)}, {"read", fmt.Sprintf("%s in %d packs", size(p.Download), p.Packs)}}
		if p.Target != "" {
			rows = append(rows, []string{"target", p.Target}, []string{"free", size(p.Free)})
		}
		if db := p.Snapshot.Database; db != nil {
			rows = append(rows, []string{"database", fmt.Sprintf("PostgreSQL %s, to %s", db.Version, db.Stop)})
		}
		if n := len(p.Snapshot.Damaged); n > 0 {
			rows = append(rows, []string{"WARNING", fmt.Sprintf("%d pages were damaged when it was taken", n)})
		}
		table(w, rows)
	})
}
