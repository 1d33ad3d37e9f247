package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup"
	"practicectl/internal/uerr"
)

type backupListResult struct {
	Repository string          `json:"repository"`
	Store      string          `json:"store"`
	Recipients []string        `json:"recipients"`
	Snapshots  []backup.Item   `json:"snapshots"`
	Windows    []backup.Window `json:"windows"` // every point in them can be restored
	// With copies: the stores that have each snapshot, by its key, and why a copy could not be asked, by its name.
	Stores map[string][]string `json:"stores,omitempty"`
	Away   map[string]string   `json:"away,omitempty"`
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
		Flags:    func(f *pflag.FlagSet) { s.bind(f); s.bindName(f) },
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
			res := backupListResult{Repository: repository.Root.ID, Store: repository.Store.String(), Recipients: repository.Settings.Recipients, Snapshots: items, Windows: windows}
			if c, err := r.config(); s.store == "" && s.name == "" && err == nil && len(c.Backup.Copies) > 0 {
				if res.Stores, res.Away, err = r.whereSnapshots(ctx, c, repository); err != nil {
					return err
				}
			}
			if err := r.result(res, func(w io.Writer) {
				showSnapshots(w, items, res.Stores)
				showWindows(w, windows)
			}); err != nil {
				return err
			}
			for name, why := range res.Away {
				r.say("The copy %s cannot be asked: %s", name, why)
			}
			if len(items) == 0 {
				r.say("There are no snapshots yet. Next: practicectl backup run")
			}
			return problem
		},
	})
}

// showSnapshots lists snapshots, with the stores that have them where there is more than one.
func showSnapshots(w io.Writer, items []backup.Item, stores map[string][]string) {
	locked := slices.ContainsFunc(items, func(i backup.Item) bool { return i.Snapshot != nil && !i.Snapshot.LockedUntil.IsZero() })
	rows := [][]string{{"SNAPSHOT", "TAKEN", "HOST", "SIZE", "ADDED", "DATABASE", "LOCKED UNTIL", ""}}
	if stores != nil {
		rows[0][7] = "IN"
	}
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
		if !h.LockedUntil.IsZero() {
			row[6] = h.LockedUntil.Format(time.DateOnly)
		}
		if stores != nil {
			row[7] = strings.Join(stores[i.Key], ", ")
		}
		if n := len(h.Damaged); n > 0 {
			row[7] = strings.TrimSpace(row[7] + fmt.Sprintf(" %d DAMAGED PAGES", n))
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
