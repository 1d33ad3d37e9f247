package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"practicectl/backup"
	"practicectl/internal/uerr"
)

type backupListResult struct {
	Repository string          `json:"repository"`
	Store      string          `json:"store"`
	Recipients []string        `json:"recipients"`
	Snapshots  []backup.Item   `json:"snapshots"`
	Windows    []backup.Window `json:"windows"` // every point in them can be restored
}

func (a *app) backupListCmd() *cobra.Command {
	var s storeFlags
	return a.leaf(leaf{
		Use: "list", Short: "List the snapshots and what else can be restored",
		Long: `Lists all snapshots of the repository, the newest last. No key is needed: the signed headers are readable for everyone,
the content for nobody without an identity. A snapshot whose signature is wrong is shown as such.

Below them stand the windows: stretches of the write-ahead log of which every moment can be restored with "restore run
latest --to-time" and its like. Where one ends and another begins, log is missing in between.`,
		Examples: []string{"practicectl backup list", "practicectl backup list --store /mnt/nas/backup --json"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Precond, uerr.Auth, uerr.Integrity, uerr.Unreachable},
		Flags:    s.bind,
		Run: func(ctx context.Context, r *run, _ []string) error {
			repository, err := r.openForReading(ctx, s, identityFlags{})
			if err != nil {
				return err
			}
			items, problem := backup.List(ctx, repository)
			if problem != nil && items == nil {
				return problem
			}
			windows, err := backup.Windows(ctx, repository, items)
			if err != nil {
				return err
			}
			res := backupListResult{repository.Root.ID, repository.Store.String(), repository.Settings.Recipients, items, windows}
			if err := r.result(res, func(w io.Writer) {
				showSnapshots(w, items)
				showWindows(w, windows)
			}); err != nil {
				return err
			}
			if len(items) == 0 {
				r.say("There are no snapshots yet. Next: practicectl backup run")
			}
			return problem
		},
	})
}

func showSnapshots(w io.Writer, items []backup.Item) {
	locked := slices.ContainsFunc(items, func(i backup.Item) bool { return i.Snapshot != nil && !i.Snapshot.LockedUntil.IsZero() })
	rows := [][]string{{"SNAPSHOT", "TAKEN", "HOST", "SIZE", "ADDED", "DATABASE", "LOCKED UNTIL", ""}}
	for _, i := range items {
		if i.Snapshot == nil {
			rows = append(rows, []string{i.Key, "", "", "", "", "", "", "NOT TRUSTWORTHY: " + i.Problem})
			continue
		}
		h := i.Snapshot
		row := []string{h.ID[:12], h.Created.Format(time.RFC3339), h.Host, size(h.Bytes), size(h.Added), "none", "no", ""}
		if h.Database != nil {
			row[5] = "PostgreSQL " + h.Database.Version
		}
		if n := len(h.Damaged); n > 0 {
			row[7] = fmt.Sprintf("%d DAMAGED PAGES", n)
		}
		if !h.LockedUntil.IsZero() {
			row[6] = h.LockedUntil.Format(time.DateOnly)
		}
		rows = append(rows, row)
	}
	if !locked {
		for i := range rows {
			rows[i] = slices.Delete(rows[i], 6, 7)
		}
	}
	table(w, rows)
}

func showWindows(w io.Writer, windows []backup.Window) {
	if len(windows) == 0 {
		return
	}
	rows := [][]string{{"RESTORABLE FROM", "TO", "TIMELINE", "LOG"}}
	for _, one := range windows {
		rows = append(rows, []string{one.FromTime.UTC().Format(time.RFC3339), one.ToTime.UTC().Format(time.RFC3339), fmt.Sprint(one.Timeline), one.From.String() + " to " + one.To.String()})
	}
	fmt.Fprintln(w)
	table(w, rows)
}
