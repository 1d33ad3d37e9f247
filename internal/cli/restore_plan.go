package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
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
	pointFlags
	target, ownerKey string
	inPlace          bool
	paths            []string
}

func (o *restoreOptions) bind(f *pflag.FlagSet) {
	o.storeFlags.bind(f)
	f.StringVar(&o.name, "from-copy", "", "name of a [[backup.copy]] to read from first, instead of the main store")
	o.identityFlags.bind(f, "to restore with (required)")
	o.pointFlags.bind(f)
	f.StringVar(&o.ownerKey, "owner-key", "", "owner key that backup init wrote: refuse a repository of anybody else")
	f.StringVar(&o.target, "target", "", "new or empty folder for the restored copy; with --in-place the one to bring back")
	f.BoolVar(&o.inPlace, "in-place", false, "bring the stopped database in --target back by its differences")
	f.StringArrayVar(&o.paths, "path", nil, "only files and folders of the snapshot that match, such as 'files/etc/practice/*'; may be repeated")
}

// restoreExits are the exit codes of a restore and its plan.
var restoreExits = []uerr.Kind{uerr.NotFound, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.NoSpace, uerr.LossGuard, uerr.NeedConfirm, uerr.WALGap}

func (a *app) restorePlanCmd() *cobra.Command {
	var o restoreOptions
	return a.leaf(leaf{
		Use: "plan SNAPSHOT", Short: "Show what a restore would do",
		Long: `Opens a snapshot with the identity, reads its trees and shows what a restore would read and write, how long it would take,
and whether the disk has room for it in --target. Nothing is written. The snapshot is named by the beginning of its id or
"latest".

The time is reckoned from a short reading of the store just now. With --in-place the target is compared with the snapshot
first, so that only what differs counts.

With --to-time and its like it also shows which log is replayed; "latest" is then the newest snapshot before that moment.`,
		Examples: []string{
			"practicectl restore plan latest --identity /media/usb/owner.key",
			"practicectl restore plan 3f9a1c --identity owner.key --target ./copy --store /mnt/nas/backup --json",
			"practicectl restore plan latest --identity owner.key --to-time 2026-11-25T14:30:00+01:00",
		},
		Args:  cobra.ExactArgs(1),
		Exits: restoreExits,
		Flags: o.bind,
		Run: func(ctx context.Context, r *run, args []string) error {
			plan, err := r.planRestore(ctx, o, args[0])
			if err != nil {
				return err
			}
			return r.showRestorePlan(ctx, plan)
		},
	})
}

// planRestore opens the snapshot; with --in-place a target is needed.
func (r *run) planRestore(ctx context.Context, o restoreOptions, snapshot string) (*backup.RestorePlan, error) {
	if len(o.files) == 0 {
		return nil, usageError(r.cmd, errors.New("--identity FILE is needed"))
	}
	if o.inPlace && o.target == "" {
		return nil, usageError(r.cmd, errors.New("--in-place needs --target DIR"))
	}
	to, err := o.point(r)
	if err != nil {
		return nil, err
	}
	target := o.target
	if target != "" {
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
	return backup.PlanRestore(ctx, repository, backup.Target{Snapshot: snapshot, Dir: target, InPlace: o.inPlace, Paths: o.paths, Point: to})
}

func (r *run) showRestorePlan(ctx context.Context, p *backup.RestorePlan) error {
	if p.InPlace {
		if err := p.Survey(ctx, r.progress); err != nil {
			return err
		}
	}
	if err := p.Measure(ctx, r.now); err != nil {
		return err
	}
	return r.result(p, func(w io.Writer) {
		rows := [][]string{{"snapshot", p.Snapshot.ID[:12] + " of " + p.Snapshot.Created.Format(time.RFC3339)},
			{"write", fmt.Sprintf("%s of %s in %d files", size(p.Write), size(p.Bytes), p.Files)},
			{"read", fmt.Sprintf("%s of %d packs in about %d requests", size(p.Download-p.Log), p.Packs, p.Requests)}}
		if p.Log > 0 {
			rows = append(rows, []string{"log", size(p.Log) + " to read"})
		}
		if e := p.Estimate; e.Store > 0 {
			rows = append(rows, []string{"time", fmt.Sprintf("about %s at the %s/s that the store just gave; starting the copy comes on top", roughly(e.Seconds), size(e.Store))})
		}
		if p.Target != "" {
			rows = append(rows, []string{"target", p.Target}, []string{"free", size(p.Free)})
		}
		if db := p.Snapshot.Database; db != nil {
			rows = append(rows, []string{"database", fmt.Sprintf("PostgreSQL %s, to %s", db.Version, db.Stop)})
		}
		if l := p.Replay; l != nil {
			rows = append(rows, []string{"then to", fmt.Sprintf("%s on timeline %d", l.To, l.Timeline)},
				[]string{"log", fmt.Sprintf("%s in %d objects, from %s to %s", size(l.Bytes), l.Objects, l.From, l.End)})
		}
		if n := len(p.Snapshot.Lost()); n > 0 {
			rows = append(rows, []string{"WARNING", fmt.Sprintf("%d pages were damaged when it was taken", n)})
		}
		table(w, rows)
	})
}

// roughly is a length of time for people, in seconds below two minutes and in minutes above.
func roughly(seconds float64) string {
	if seconds < 120 {
		return fmt.Sprintf("%.0f s", math.Ceil(seconds))
	}
	return fmt.Sprintf("%.0f min", math.Ceil(seconds/60))
}
