package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup"
	"practicectl/backup/repo"
	"practicectl/internal/uerr"
)

func (a *app) backupShowCmd() *cobra.Command {
	var s storeFlags
	var i identityFlags
	return a.leaf(leaf{
		Use: "show SNAPSHOT", Short: "Show one snapshot",
		Long: `Shows the signed header of a snapshot, named by the beginning of its id or "latest". With an identity the snapshot is
also opened, which proves that this identity can restore it.`,
		Examples: []string{"practicectl backup show latest", "practicectl backup show 3f9a1c --identity /media/usb/owner.key --json"},
		Args:     cobra.ExactArgs(1),
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Precond, uerr.Auth, uerr.Integrity, uerr.Unreachable, uerr.NeedConfirm},
		Flags: func(f *pflag.FlagSet) {
			s.bind(f)
			i.bind(f, "to open the snapshot with")
		},
		Run: func(ctx context.Context, r *run, args []string) error {
			repository, err := r.openForReading(ctx, s, i)
			if err != nil {
				return err
			}
			d, err := backup.Show(ctx, repository, args[0])
			if err != nil {
				return err
			}
			return r.result(d, func(w io.Writer) { showSnapshot(w, d) })
		},
	})
}

func showSnapshot(w io.Writer, d backup.Details) {
	h := d.Snapshot
	rows := [][]string{{"snapshot", h.ID}, {"taken", h.Created.Format(time.RFC3339)}, {"host", h.Host}, {"size", size(h.Bytes)}, {"files", strconv.FormatInt(h.Files, 10)},
		{"added", size(h.Added)}, {"mode", h.Mode}, {"parent", h.Parent}}
	if db := h.Database; db != nil {
		rows = append(rows, []string{"database", "PostgreSQL " + db.Version}, []string{"log", fmt.Sprintf("%s to %s on timeline %d", db.Start, db.Stop, db.Timeline)})
	}
	if !h.LockedUntil.IsZero() {
		rows = append(rows, []string{"locked until", h.LockedUntil.Format(time.RFC3339) + " (" + h.Class + ")"})
	}
	for _, p := range h.Damaged {
		rows = append(rows, []string{"DAMAGED", fmt.Sprintf("block %d of %s: %s", p.Block, p.Path, copyText(p.Copy))})
	}
	for _, t := range d.Trees {
		rows = append(rows, []string{"holds " + t.Name, fmt.Sprintf("%s in %d files", size(t.Bytes), t.Files)})
	}
	table(w, rows)
}

// copyText says what a restore lays in the place of a damaged page.
func copyText(c repo.Copy) string {
	switch c {
	case repo.SameCopy:
		return "its last good copy is in its place, and nothing says that it has changed since"
	case repo.OlderCopy:
		return "an older copy of it is in its place"
	}
	return "no good copy of it is known"
}
