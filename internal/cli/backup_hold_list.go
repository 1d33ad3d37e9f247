package cli

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup"
	"practicectl/internal/uerr"
)

func (a *app) backupHoldListCmd() *cobra.Command {
	var s storeFlags
	return a.leaf(leaf{
		Use: "list", Short: "List the snapshots that are held",
		Long:     `Lists the holds in force, with their reasons. It needs no key.`,
		Examples: []string{"practicectl backup hold list", "practicectl backup hold list --store /mnt/nas/backup --json"},
		Args:     cobra.NoArgs,
		NoFiles:  true,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Precond, uerr.Auth, uerr.Integrity, uerr.Unreachable},
		Flags:    func(f *pflag.FlagSet) { s.bind(f); s.bindName(f) },
		Run: func(ctx context.Context, r *run, _ []string) error {
			repository, err := r.openForReading(ctx, s, identityFlags{})
			if err != nil {
				return err
			}
			holds, ignored, err := backup.Holds(ctx, repository, r.now())
			if err != nil {
				return err
			}
			for _, one := range ignored {
				r.progress.Warn("%v. It is no hold", one)
			}
			if holds == nil {
				holds = []backup.Hold{}
			}
			return r.result(holds, func(w io.Writer) {
				rows := [][]string{{"SNAPSHOT", "HELD UNTIL", "SINCE", "BY", "REASON"}}
				for _, h := range holds {
					by := h.Host
					if by == "" {
						by = "the owner"
					}
					rows = append(rows, []string{h.Snapshot[:12], h.Until.Format(time.DateOnly), h.Created.Format(time.DateOnly), by, h.Reason})
				}
				table(w, rows)
			})
		},
	})
}
