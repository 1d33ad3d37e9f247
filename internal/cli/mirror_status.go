package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/uerr"
	"practicectl/mirror"
)

func (a *app) mirrorStatusCmd() *cobra.Command {
	var dir string
	return a.leaf(leaf{
		Use: "status", Short: "Show what the mirror holds and how old it is",
		Long:     "Shows the last sync, the newest versions, when the signatures end, and how much was served. It does not ask the source.",
		Examples: []string{"practicectl mirror status --dir /srv/mirror", "practicectl mirror status --json"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Precond},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&dir, "dir", "", "folder of the mirror; default: [mirror] dir of the configuration")
		},
		Run: func(_ context.Context, r *run, _ []string) error {
			where, err := r.mirrorDir(dir)
			if err != nil {
				return err
			}
			st, err := mirror.Inspect(where, r.now())
			if err != nil {
				return err
			}
			return r.result(st, func(w io.Writer) { showMirror(w, st) })
		},
	})
}

func showMirror(w io.Writer, st mirror.Status) {
	head := "OK"
	switch {
	case st.Last == nil:
		head = "EMPTY: practicectl mirror sync --dir " + st.Dir
	case st.Expired:
		head = "EXPIRED: clients refuse it; practicectl mirror sync --dir " + st.Dir
	case st.Failed != nil:
		head = "WARN: the last sync failed"
	}
	fmt.Fprintf(w, "mirror %s: %s\n", st.Dir, head)
	rows := [][]string{{"source", st.Settings.Source + " (" + st.Settings.Mode + ")"}}
	if len(st.Settings.Channels) > 0 {
		rows = append(rows, []string{"channels", strings.Join(st.Settings.Channels, ", ")})
	}
	rows = append(rows, []string{"stored", fmt.Sprintf("%d files, %s", st.Files, size(st.Bytes))},
		[]string{"served", fmt.Sprintf("%d checks, %d files, %s", st.Served.Metadata, st.Served.Targets, size(st.Served.Bytes))})
	if st.Failed != nil {
		rows = append(rows, []string{"failed", st.Failed.When.Format(time.RFC3339) + " " + st.Failed.Error})
	}
	if st.Last != nil {
		rows = append(rows, []string{"synced", st.Last.When.Format(time.RFC3339)})
	}
	table(w, rows)
	if st.Last != nil {
		showLatest(w, *st.Last)
	}
}
