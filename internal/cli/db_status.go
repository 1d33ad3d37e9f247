package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

// dbStatusResult is the JSON form of `db status`.
type dbStatusResult struct {
	pgcluster.Inspection
	Provider string  `json:"provider"`
	Uptime   float64 `json:"uptime_seconds"`
}

func (a *app) dbStatusCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "status", Short: "Show the database of the instance",
		Long: `Shows version, provider, size, checksums, timeline and uptime of the database and what should be looked at. A stopped
database is shown from its control data and is no error.`,
		Examples: []string{"practicectl db status", "practicectl db status --json"},
		Args:     cobra.NoArgs,
		NoFiles:  true,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.Unreachable},
		Run: func(ctx context.Context, r *run, _ []string) error {
			c, f, err := r.cluster(ctx)
			if err != nil {
				return err
			}
			in, err := pgcluster.Inspect(ctx, c, f.Database.Provider, f.Database.Name)
			if err != nil {
				return err
			}
			res := dbStatusResult{Inspection: in, Provider: f.Database.Provider}
			if in.State == pgcluster.Running {
				res.Uptime = r.now().Sub(in.Started).Seconds()
			}
			return r.result(res, func(w io.Writer) { showDatabase(w, res) })
		},
	})
}

func showDatabase(w io.Writer, s dbStatusResult) {
	checksums := map[bool]string{true: "on", false: "off"}[s.Checksums]
	if s.ChecksumFailures > 0 {
		checksums += fmt.Sprintf(", %d failures", s.ChecksumFailures)
	}
	rows := [][]string{{"database", string(s.State)}, {"PostgreSQL", s.Version + " (" + s.Provider + ")"}, {"data", s.Data},
		{"socket", s.Socket}, {"port", strconv.Itoa(s.Port)}, {"checksums", checksums}, {"timeline", strconv.FormatUint(uint64(s.Timeline), 10)},
		{"last checkpoint", s.Checkpoint.Format(time.RFC3339)}}
	if s.State == pgcluster.Running {
		rows = append(rows, []string{"uptime", (time.Duration(s.Uptime) * time.Second).String()}, []string{"size", size(s.DatabaseBytes)},
			[]string{"connections", strconv.Itoa(s.Connections)}, []string{"term", strconv.FormatInt(s.Term, 10)})
	}
	table(w, rows)
	for _, text := range s.Warnings {
		fmt.Fprintln(w, "warning:", text)
	}
}
