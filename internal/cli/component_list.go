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

	"practicectl/installer"
	"practicectl/internal/uerr"
	"practicectl/release"
)

// completeComponents completes names of components.
func completeComponents(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return release.Components(), cobra.ShellCompDirectiveNoFileComp
}

// componentRow is one line of `component list`.
type componentRow struct {
	Component string    `json:"component"`
	Version   string    `json:"version"`
	Provider  string    `json:"provider,omitempty"`
	Installed time.Time `json:"installed,omitzero"`
	Offered   string    `json:"offered,omitempty"` // newest version of the source, with --available
	Size      int64     `json:"size,omitempty"`    // bytes to fetch it
}

func (a *app) componentListCmd() *cobra.Command {
	var available bool
	var from string
	return a.leaf(leaf{
		Use: "list", Short: "List the installed components",
		Long: `Lists what is installed here. With --available or --from it also asks the release source and lists what could be
installed, and in which version.`,
		Examples: []string{"practicectl component list", "practicectl component list --available", "practicectl component list --from /media/usb/repo --json"},
		Args:     cobra.NoArgs,
		NoFiles:  true,
		Exits:    []uerr.Kind{uerr.Integrity, uerr.Unreachable},
		Flags: func(f *pflag.FlagSet) {
			f.BoolVar(&available, "available", false, "also ask the release source")
			f.StringVar(&from, "from", "", "release source to ask: folder or http(s) address")
		},
		Run: func(ctx context.Context, r *run, _ []string) error {
			l, err := r.layout()
			if err != nil {
				return err
			}
			receipts, err := installer.ReadReceipts(l.Receipts())
			if err != nil {
				return err
			}
			rows := []componentRow{}
			for _, rc := range receipts {
				rows = append(rows, componentRow{Component: rc.Component, Version: rc.Version, Provider: rc.Provider, Installed: rc.Installed})
			}
			if available || from != "" {
				if rows, err = r.offered(ctx, rows, from); err != nil {
					return err
				}
			}
			return r.result(rows, func(w io.Writer) { showComponents(w, rows) })
		},
	})
}

// offered adds what the source has to the rows of what is installed.
func (r *run) offered(ctx context.Context, rows []componentRow, from string) ([]componentRow, error) {
	d, err := r.onMachine("")
	if err != nil {
		return nil, err
	}
	if from != "" {
		if d.Source, err = absoluteSource(from); err != nil {
			return nil, err
		}
	}
	inst, err := r.newInstaller(d)
	if err != nil {
		return nil, err
	}
	offers, err := inst.Offer(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range offers {
		i := slices.IndexFunc(rows, func(row componentRow) bool { return row.Component == o.Component })
		if i < 0 {
			rows, i = append(rows, componentRow{Component: o.Component}), len(rows)
		}
		rows[i].Offered, rows[i].Size = o.Version, o.Size
	}
	slices.SortFunc(rows, func(a, b componentRow) int { return strings.Compare(a.Component, b.Component) })
	return rows, nil
}

func showComponents(w io.Writer, rows []componentRow) {
	if len(rows) == 0 {
		fmt.Fprintln(w, "nothing is installed; see what there is: practicectl component list --from DIR|URL")
		return
	}
	lines := [][]string{}
	for _, row := range rows {
		installed, offer := row.Version, ""
		if installed == "" {
			installed = "-"
		}
		if row.Offered != "" {
			offer = "offered " + row.Offered + ", " + size(row.Size)
		}
		lines = append(lines, []string{row.Component, installed, row.Provider, offer})
	}
	table(w, lines)
}
