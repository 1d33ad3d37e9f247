package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/uerr"
	"practicectl/mirror"
)

func (a *app) mirrorSyncCmd() *cobra.Command {
	var dir string
	var scrub bool
	return a.leaf(leaf{
		Use: "sync", Short: "Bring the mirror up to date",
		Long: "Verifies the source's metadata, fetches what is missing (going on where a broken transfer ended), verifies it, and only then lets clients " +
			"see it. When anything is wrong, clients keep the old state and nothing of the new one is published.",
		Examples: []string{"practicectl mirror sync --dir /srv/mirror", "practicectl mirror sync --dir /srv/mirror --scrub --cron"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Locked, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.NoSpace},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&dir, "dir", "", "folder of the mirror; default: [mirror] dir of the configuration")
			f.BoolVar(&scrub, "scrub", false, "read every stored file again and replace damaged ones")
		},
		Run: func(ctx context.Context, r *run, _ []string) error {
			where, err := r.mirrorDir(dir)
			if err != nil {
				return err
			}
			o := r.syncOptions()
			o.Scrub, o.Plan = scrub, r.dryRun()
			rep, err := mirror.Sync(ctx, where, o)
			if err != nil {
				return err
			}
			return r.result(rep, func(w io.Writer) {
				verb := "fetched"
				if r.dryRun() {
					verb = "would fetch"
				}
				fmt.Fprintf(w, "%s %d files (%s), kept %d\n", verb, rep.Fetched, size(rep.Bytes), rep.Kept)
				showLatest(w, rep)
			})
		},
	})
}

func showLatest(w io.Writer, rep mirror.SyncReport) {
	rows := [][]string{}
	for _, c := range slices.Sorted(maps.Keys(rep.Latest)) {
		rows = append(rows, []string{c, rep.Latest[c]})
	}
	rows = append(rows, []string{"issued", rep.Issued.Format(time.RFC3339)}, []string{"expires", rep.Expires.Format(time.RFC3339)})
	if rep.Stale {
		rows = append(rows, []string{"note", "expired, used within the grace of the mirror's mode"})
	}
	table(w, rows)
}
