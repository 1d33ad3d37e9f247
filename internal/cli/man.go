package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"practicectl/internal/buildinfo"
	"practicectl/internal/uerr"
)

func (a *app) manCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "man DIR", Short: "Write the man pages into a folder",
		Long:     "Writes one man page for each command into DIR, which is made if it does not exist.",
		Examples: []string{"practicectl man /usr/local/share/man/man1", "practicectl man ./man --json"},
		Args:     cobra.ExactArgs(1),
		Run: func(_ context.Context, r *run, args []string) error {
			if r.dryRun() {
				return r.result(map[string]any{"dry_run": true, "dir": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "would write the man pages into %s\n", args[0]) })
			}
			pages, err := writeManPages(r.cmd.Root(), args[0])
			if err != nil {
				return uerr.New(uerr.Failed, "write the man pages into", args[0], err, "name a folder that this user may write")
			}
			return r.result(map[string]any{"dir": args[0], "pages": pages}, func(w io.Writer) {
				fmt.Fprintf(w, "%d man pages in %s\n", len(pages), args[0])
			})
		},
	})
}

// writeManPages renders the whole tree; the date is fixed so that the same source gives the same bytes.
func writeManPages(root *cobra.Command, dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	epoch := time.Unix(0, 0).UTC()
	header := &doc.GenManHeader{Section: "1", Date: &epoch, Source: Program + " " + buildinfo.Version(), Manual: "practicectl manual"}
	root.DisableAutoGenTag = true
	if err := doc.GenManTree(root, header, dir); err != nil {
		return nil, err
	}
	found, err := filepath.Glob(filepath.Join(dir, Program+"*.1"))
	for i := range found {
		found[i] = filepath.Base(found[i])
	}
	return found, err
}
