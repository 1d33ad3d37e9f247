package cli

import (
	"context"

	"github.com/spf13/cobra"

	"practicectl/internal/pgcluster"
	"practicectl/internal/svc"
	"practicectl/internal/uerr"
)

func (a *app) dbStopCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "stop", Short: "Stop the database of the instance",
		Long: `Stops the database fast: open transactions are rolled back, everything committed is safe on the disk. The server and
all clients lose their connection. Where an agent runs the instance's services it does the stopping.`,
		Examples: []string{"practicectl db stop", "practicectl db stop --prefix ~/practice --json"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Locked, uerr.Precond, uerr.Unreachable},
		Run: func(ctx context.Context, r *run, _ []string) error {
			return r.dbTo(ctx, pgcluster.Stopped, "db stop", svc.Manager.Stop, (*pgcluster.Cluster).Stop)
		},
	})
}
