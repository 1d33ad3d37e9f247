package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup"
	"practicectl/backup/stream"
	"practicectl/internal/uerr"
)

// streamFlags say how the log is streamed.
type streamFlags struct {
	once, install, remove bool
}

func (a *app) backupStreamCmd() *cobra.Command {
	var o streamFlags
	return a.leaf(leaf{
		Use: "stream", Short: "Store the write-ahead log while it is written",
		Long: `Receives the database's write-ahead log over a replication slot and stores it, encrypted, a few seconds after it was
written, until it is stopped. Then not only the snapshots can be restored, but every moment since the first of them:
restore run latest --to-time. An idle database costs no request.

While the store cannot be reached the log waits in an encrypted spool on this disk ([backup] spool); the database goes on,
and its disk does not fill. When the spool is full, or the database dropped log, the gap is noted here and in the
repository, "status" fails with 23, and the next snapshot makes it good.

With --install the agent runs it from now on; --once stores what there is and ends, for schedules of your own.`,
		Examples: []string{"practicectl backup stream --install", "practicectl backup stream --once --json", "practicectl backup stream"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Locked, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.NoSpace, uerr.Fenced, uerr.WALGap, uerr.WeakLock},
		Flags: func(f *pflag.FlagSet) {
			f.BoolVar(&o.once, "once", false, "store what the database has now, then end")
			f.BoolVar(&o.install, "install", false, "set backup.stream and have the agent run it")
			f.BoolVar(&o.remove, "remove", false, "unset backup.stream and end it; what is stored stays")
		},
		Run: func(ctx context.Context, r *run, _ []string) error {
			switch {
			case o.install && o.remove, o.once && (o.install || o.remove):
				return usageError(r.cmd, errors.New("--once, --install and --remove exclude each other"))
			case o.install, o.remove:
				return r.setStream(ctx, o.install)
			}
			return r.backupStream(ctx, o.once)
		},
	})
}

func (r *run) backupStream(ctx context.Context, once bool) error {
	ctx, release, err := r.lock(ctx, "stream", "backup stream")
	if err != nil {
		return err
	}
	defer release()
	if r.dryRun() {
		repository, _, err := r.openForWriting(ctx)
		if err != nil {
			return err
		}
		return r.result(map[string]any{"dry_run": true, "store": repository.Store.String(), "slot": stream.SlotName(repository)}, func(w io.Writer) {
			fmt.Fprintf(w, "would stream the log to %s over the slot %s\n", repository.Store, stream.SlotName(repository))
		})
	}
	if !once {
		return r.keepStreaming(ctx)
	}
	o, err := r.streamOptions()
	if err != nil {
		return err
	}
	o.Once = true
	repository, c, err := r.openForWriting(ctx)
	if err == nil {
		err = backup.Stream(ctx, repository, c.Backup.Recipients, o)
	}
	if err != nil && uerr.KindOf(err) != uerr.WALGap {
		return err
	}
	st, serr := stream.Read(o.Dir)
	if serr != nil {
		return errors.Join(err, serr)
	}
	if shown := r.result(r.streamStatus(st, o.Dir), func(w io.Writer) {
		table(w, [][]string{{"log stored up to", st.Stored.String()}, {"timeline", fmt.Sprint(st.Timeline)}})
	}); shown != nil {
		return shown
	}
	return err
}
