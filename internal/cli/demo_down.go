package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/demo"
	"practicectl/internal/uerr"
)

func (a *app) demoDownCmd() *cobra.Command {
	var dir string
	return a.leaf(leaf{
		Use: "down", Short: "Stop and remove a demo",
		Long:     "Stops everything that a demo left running and removes its folder. A folder that is not a demo's is never touched.",
		Examples: []string{"practicectl demo down", "practicectl demo down --dir /var/tmp/my-demo"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Locked},
		Flags:    func(f *pflag.FlagSet) { f.StringVar(&dir, "dir", demoDir(), "folder of the demo") },
		Run: func(ctx context.Context, r *run, _ []string) error {
			if r.dryRun() {
				return r.result(map[string]any{"dry_run": true, "dir": dir}, func(w io.Writer) { fmt.Fprintf(w, "would stop and remove the demo in %s\n", dir) })
			}
			if err := demo.Down(ctx, dir); err != nil {
				return err
			}
			return r.result(map[string]any{"removed": dir}, func(w io.Writer) { fmt.Fprintf(w, "%s is removed\n", dir) })
		},
	})
}
