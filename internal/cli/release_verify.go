package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/publish"
)

func (a *app) releaseVerifyCmd() *cobra.Command {
	var root string
	return a.leaf(leaf{
		Use: "verify SOURCE", Short: "Read a whole repository as a new client would",
		Long: "Verifies a repository or mirror (URL or folder) with a real client from a clean folder: all metadata, all files, all archives. " +
			"Nothing is installed.",
		Examples: []string{"practicectl release verify https://releases.example.com", "practicectl release verify /srv/releases --root draft/metadata/1.root.json"},
		Args:     cobra.ExactArgs(1),
		Complete: completeFiles,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.NoSpace},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&root, "root", "", "root of trust instead of the built-in one")
		},
		Run: func(ctx context.Context, r *run, args []string) error {
			o := publish.VerifyOptions{Source: args[0], Now: r.now, Progress: r.progress}
			if root != "" {
				data, err := os.ReadFile(root)
				if err != nil {
					return uerr.New(uerr.NotFound, "read the root", root, err, "")
				}
				o.Root = data
			}
			rep, err := publish.Verify(ctx, o)
			if err != nil {
				return err
			}
			return r.result(rep, func(w io.Writer) {
				rows := [][]string{{"source", rep.Source}, {"issued", rep.Issued.Format(time.RFC3339)}, {"expires", rep.Expires.Format(time.RFC3339)}}
				for _, role := range release.Roles() {
					if v := rep.Latest[role]; v != "" {
						rows = append(rows, []string{role, v})
					}
				}
				table(w, rows)
				fmt.Fprintf(w, "%d files, %s, all as signed\n", rep.Targets, size(rep.Bytes))
			})
		},
	})
}
