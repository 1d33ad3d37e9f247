package cli

import (
	"context"

	"practicectl/internal/config"
	"practicectl/internal/paths"
	"practicectl/internal/pgcluster"
	"practicectl/internal/svc"
	"practicectl/internal/uerr"
)

// pgBin is the folder that is searched for PostgreSQL's programs; the bundle lies where components lie.
func pgBin(l paths.Layout, d config.Database) string {
	if d.Bin != "" || d.Provider != pgcluster.ProviderBundled {
		return d.Bin
	}
	return l.Component("postgresql") + "/current"
}

// openCluster returns the cluster of an instance with the binaries that fit its data.
func openCluster(ctx context.Context, l paths.Layout, d config.Database) (*pgcluster.Cluster, error) {
	bin, err := pgcluster.FindFor(ctx, d.Provider, pgBin(l, d), l.PGData())
	if err != nil {
		return nil, err
	}
	return pgcluster.At(l, bin, d.Port), nil
}

// cluster opens the cluster of the chosen instance, which must be made already.
func (r *run) cluster(ctx context.Context) (*pgcluster.Cluster, *config.File, error) {
	l, err := r.layout()
	if err != nil {
		return nil, nil, err
	}
	f, err := r.config()
	if err != nil {
		return nil, nil, err
	}
	made := pgcluster.Cluster{Data: l.PGData()}
	if _, err := made.DataMajor(); err != nil {
		return nil, nil, err
	}
	c, err := openCluster(ctx, l, f.Database)
	return c, f, err
}

// databaseService returns the manager that runs the database, or nil when none does and the cluster is run directly.
func databaseService(ctx context.Context, l paths.Layout) (svc.Manager, error) {
	m := svc.Open(l)
	_, err := m.Status(ctx, svc.Database)
	switch uerr.KindOf(err) {
	case uerr.NotFound, uerr.Unreachable:
		if err != nil {
			return nil, nil // nobody manages it
		}
	}
	return m, err
}
