package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"practicectl/internal/buildinfo"
)

func (a *app) versionCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "version", Short: "Show the version of this program",
		Long:     "Shows the version of this program, the source revision it was built from and the platform.",
		Examples: []string{"practicectl version", "practicectl version --json"},
		Args:     cobra.NoArgs,
		Run: func(_ context.Context, r *run, _ []string) error {
			info := buildinfo.Read(Program)
			return r.result(info, func(w io.Writer) {
				fmt.Fprintf(w, "%s %s (%s, %s/%s)\n", info.Program, info.Version, info.Go, info.OS, info.Arch)
			})
		},
	})
}
