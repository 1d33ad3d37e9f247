package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup/extract"
	"practicectl/internal/pgcluster"
)

// extracted is what restore table reports.
type extracted struct {
	Snapshot string `json:"snapshot"`
	Table    string `json:"table"`
	Rows     int64  `json:"rows"`
	Out      string `json:"out"`
}

func (a *app) restoreTableCmd() *cobra.Command {
	var s scratchOptions
	t := extract.Table{}
	var format string
	return a.leaf(leaf{
		Use: "table SNAPSHOT", Short: "Bring the rows of one table back as a file",
		Long: `Restores the database of a snapshot into a scratch folder, starts it where nobody reaches it, copies the rows of one table into
a new file, and removes the scratch folder again, whatever happens. The running practice is not touched: read the file, and
decide what goes back.

The file is CSV with a line of names, or with --format sql a COPY statement that psql loads. It holds what the table holds:
keep it as you keep the records. --where takes a condition in SQL.`,
		Examples: []string{
			"practicectl restore table latest --table pm.appointment --out appointments.csv --identity /media/usb/owner.key",
			`practicectl restore table 3f9a1c --table pm.session --where "patient_id = '0190a1b2-0000-7000-8000-000000000001'" --format sql --out sessions.sql --identity owner.key`,
		},
		Args:  cobra.ExactArgs(1),
		Exits: restoreExits,
		Flags: func(f *pflag.FlagSet) {
			s.bind(f)
			f.StringVar(&t.Database, "database", pgcluster.DefaultDatabase, "database that the table is in")
			f.StringVar(&t.Name, "table", "", "table, such as pm.appointment (required)")
			f.StringVar(&t.Where, "where", "", "only rows for which this SQL condition holds")
			f.StringVar(&format, "format", string(extract.CSV), "csv or sql")
		},
		Enums: map[string][]string{"format": {string(extract.CSV), string(extract.SQL)}},
		Run: func(ctx context.Context, r *run, args []string) error {
			if t.Name == "" {
				return usageError(r.cmd, errors.New("--table SCHEMA.NAME is needed"))
			}
			t.Format = extract.Format(format)
			rep := extracted{Table: t.Name, Out: s.out}
			if r.dryRun() {
				return r.result(rep, func(w io.Writer) { table(w, [][]string{{"would write", t.Name + " to " + s.out}}) })
			}
			err := r.extract(ctx, s, args[0], func(from *extract.Scratch, w io.Writer) (err error) {
				rep.Snapshot = from.Snapshot
				rep.Rows, err = from.Rows(ctx, t, w)
				return err
			})
			if err != nil {
				return err
			}
			return r.result(rep, func(w io.Writer) {
				table(w, [][]string{{"snapshot", rep.Snapshot[:12]}, {"rows", fmt.Sprint(rep.Rows)}, {"written", rep.Out}})
			})
		},
	})
}
