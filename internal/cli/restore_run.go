package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup"
	"practicectl/internal/uerr"
)

func (a *app) restoreRunCmd() *cobra.Command {
	var o restoreOptions
	var p proofOptions
	return a.leaf(leaf{
		Use: "run SNAPSHOT", Short: "Restore a snapshot beside, or in place by differences",
		Long: `Lays a snapshot down beside the target, proves it, and puts it in place; nothing that exists is overwritten. The target
then holds pg (the database's data folder), files (configuration and extra paths) and tablespaces. An interrupted restore
goes on where it was when the same command is run again.

With --in-place the target is a stopped database's data folder, or what an earlier restore made. It is compared page by
page, only what differs is fetched, and what is overwritten is kept beside it until the result is proved. A restore that was
cut off is finished by the same command, or taken back by restore undo; until then the database cannot be started.

With --path only some files come back, such as 'files/etc/practice/*'; a folder comes with everything in it.

Every page is compared with the snapshot's signature. When a PostgreSQL of the right version is found, the copy is also
started once, recovers to the end of the backup, and has its indexes checked, before it is put in place.

With [[backup.copy]] the copies are read where the main store does not answer or has an object damaged; --from-copy names
the one to read first.

Where the log was streamed (backup stream), --to-time, --to-lsn, --to-name and --to-latest restore any moment of the windows
that "backup list" shows: the newest snapshot before it is laid down and the log replayed up to it. A moment that cannot be
reached, because log is missing, is refused before anything is written.

It works on a bare machine: name the store with --store, and whose repository it must be with --owner-key, because anybody
who can write to the store could have put another one there that your identity opens.`,
		Examples: []string{
			"practicectl restore run latest --identity /media/usb/owner.key --target /srv/restored",
			"practicectl restore run latest --identity owner.key --target /srv/practice/var/lib/practice/main/pg --in-place",
			"practicectl restore run latest --identity owner.key --target ./found --path 'files/etc/practice/*'",
			"practicectl restore run latest --identity owner.key --target ./copy --store s3://clinic/main --endpoint https://s3.example.org --credentials-file s3.toml",
			"practicectl restore run latest --identity owner.key --target ./copy --to-time 2026-11-25T14:30:00+01:00",
		},
		Args:  cobra.ExactArgs(1),
		Exits: restoreExits,
		Flags: func(f *pflag.FlagSet) {
			o.bind(f)
			f.StringVar(&p.mode, "prove", "auto", "start the copy before it is put in place: auto, always or never")
			f.StringVar(&p.bin, "postgres-bin", "", "folder of the PostgreSQL programs to prove it with")
			f.StringVar(&p.owner, "owner", "", "account that the files are given to and that PostgreSQL runs as; only as root")
		},
		Enums: map[string][]string{"prove": {"auto", "always", "never"}},
		Run: func(ctx context.Context, r *run, args []string) error {
			if o.target == "" {
				return usageError(r.cmd, errors.New("--target DIR is needed"))
			}
			plan, err := r.planRestore(ctx, o, args[0])
			if err != nil {
				return err
			}
			if r.dryRun() {
				return r.showRestorePlan(ctx, plan)
			}
			if plan.InPlace {
				if err := r.confirm(moderate, "make "+plan.Target+" what it was at "+plan.Snapshot.Created.Format(time.RFC3339)+", and lose everything since", "", ""); err != nil {
					return err
				}
			}
			opts, err := r.proof(ctx, plan, p)
			if err != nil {
				return err
			}
			rep, err := backup.Restore(ctx, plan, opts, r.progress)
			if err != nil {
				return err
			}
			return r.showRestore(rep)
		},
	})
}

func (r *run) showRestore(rep backup.RestoreReport) error {
	err := r.result(rep, func(w io.Writer) {
		proved := "every page against the signature"
		if rep.Proved {
			proved += ", and the database by starting it"
		}
		table(w, [][]string{{"restored", rep.Target}, {"snapshot", rep.Snapshot.ID[:12]}, {"written", fmt.Sprintf("%s of %s in %d files", size(rep.Written), size(rep.Bytes), rep.Files)},
			{"read", fmt.Sprintf("%s in %d requests", size(rep.Read), rep.Requests)},
			{"proved", proved}, {"time", fmt.Sprintf("%.1f s", rep.Seconds)}})
	})
	if err == nil && rep.Database && !rep.Proved {
		r.say("The database was not started to prove it: no PostgreSQL %d was found, or it may not run as this account. See --prove.", rep.Snapshot.Database.Major)
	}
	if lost := len(rep.Snapshot.Lost()); err == nil && lost > 0 {
		return uerr.New(uerr.Incomplete, "restored, but", fmt.Sprintf("%d pages", lost), errors.New("were damaged already when the snapshot was taken"), "look which: practicectl backup show "+rep.Snapshot.ID[:12])
	}
	return err
}
