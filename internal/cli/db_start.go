package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"practicectl/internal/pgcluster"
	"practicectl/internal/svc"
	"practicectl/internal/uerr"
)

// dbStateResult is the JSON form of `db start` and `db stop`.
type dbStateResult struct {
	State   pgcluster.State `json:"state"`
	Changed bool            `json:"changed"`
	DryRun  bool            `json:"dry_run"`
	Manager string          `json:"manager"` // "agent", or "none": run directly
	Socket  string          `json:"socket"`
}

func (a *app) dbStartCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "start", Short: "Start the database of the instance",
		Long: `Starts the database and waits until it takes connections; recovery after a crash is waited for. Where an agent runs
the instance's services it does the starting. A database that runs already is fine.`,
		Examples: []string{"practicectl db start", "practicectl db start --prefix ~/practice --timeout 5m"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Locked, uerr.Precond, uerr.Unreachable, uerr.NoSpace},
		Run: func(ctx context.Context, r *run, _ []string) error {
			return r.dbTo(ctx, pgcluster.Running, "db start", svc.Manager.Start, (*pgcluster.Cluster).Start)
		},
	})
}

// dbTo brings the database into a state, through the agent where it runs the database.
func (r *run) dbTo(ctx context.Context, want pgcluster.State, what string,
	managed func(svc.Manager, context.Context, string) error, direct func(*pgcluster.Cluster, context.Context) error) error {
	c, _, err := r.cluster(ctx)
	if err != nil {
		return err
	}
	l, err := r.layout()
	if err != nil {
		return err
	}
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	m, err := databaseService(ctx, l)
	if err != nil {
		return err
	}
	res := dbStateResult{State: want, Changed: st.State != want, DryRun: r.dryRun(), Manager: "none", Socket: c.Socket()}
	if m != nil {
		res.Manager = "agent"
	}
	if !r.dryRun() {
		held, release, err := r.lock(ctx, "database", what)
		if err != nil {
			return err
		}
		defer release()
		if m != nil {
			err = managed(m, held, svc.Database)
		} else {
			err = direct(c, held)
		}
		if err != nil {
			return err
		}
	}
	return r.result(res, func(w io.Writer) {
		switch {
		case !res.Changed:
			fmt.Fprintf(w, "the database is %s already\n", want)
		case res.DryRun:
			fmt.Fprintf(w, "the database would be %s\n", want)
		default:
			fmt.Fprintf(w, "the database is %s\n", want)
		}
	})
}
