// Package proof starts a restored database and checks it, before anybody relies on it.
package proof

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

// Start starts the restored data folder on a private socket with the programs of its major version, lets it recover to the
// end of the backup, checks its indexes and stops it again. The copy is on a timeline of its own from then on: what it
// writes into its log is never mistaken for what the original wrote after the snapshot. The configuration files that are
// changed for this get their old content back. account runs PostgreSQL when the caller is root; nil: the caller does.
func Start(ctx context.Context, bin pgcluster.Binaries, account *pgcluster.Account, data string) (err error) {
	dir, err := os.MkdirTemp("", "prove")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if account != nil {
		if err := os.Chown(dir, int(account.UID), int(account.GID)); err != nil {
			return err
		}
	}
	c := &pgcluster.Cluster{Bin: bin, Data: data, SocketDir: dir, Log: filepath.Join(dir, "log"), Port: pgcluster.DefaultPort, RunAs: account}
	restoreFiles, err := keepFiles(data, "conf.d/10-practicectl.conf", "conf.d/50-local.conf", "pg_hba.conf", "pg_ident.conf")
	if err != nil {
		return err
	}
	settings := pgcluster.Settings{Memory: 256 << 20}
	if account != nil { // root asks, the account answers
		settings.Users = []pgcluster.UserMap{{Account: "root", Role: pgcluster.Superuser}}
	}
	if err := c.Configure(ctx, settings); err != nil {
		return err
	}
	err = c.Start(ctx)
	if err == nil {
		err = recovered(ctx, c)
	}
	if err != nil {
		log, _ := os.ReadFile(c.Log) // only adds to the message
		return errors.Join(fmt.Errorf("%w\n%s", err, lastLines(log, 15)), c.Stop(context.WithoutCancel(ctx)))
	}
	err = checkDatabases(ctx, c)
	return errors.Join(err, c.Stop(context.WithoutCancel(ctx)), restoreFiles())
}

// recovered waits until the server has replayed the log and takes writes: pg_ctl returns before that.
func recovered(ctx context.Context, c *pgcluster.Cluster) error {
	for {
		conn, err := c.Connect(ctx, pgcluster.Superuser, "postgres")
		if err == nil {
			var recovering bool
			err = conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&recovering)
			if err = errors.Join(err, conn.Close(ctx)); err != nil || !recovering {
				return err
			}
		} else if uerr.KindOf(err) != uerr.Unreachable {
			return err
		}
		if st, serr := c.Status(ctx); serr != nil || st.State != pgcluster.Running {
			return errors.Join(errors.New("the database ended while it recovered"), serr)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// keepFiles remembers files and returns what puts them back.
func keepFiles(dir string, names ...string) (func() error, error) {
	type kept struct {
		path string
		data []byte
		here bool
	}
	var all []kept
	for _, name := range names {
		k := kept{path: filepath.Join(dir, filepath.FromSlash(name))}
		var err error
		k.data, err = os.ReadFile(k.path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		k.here = err == nil
		all = append(all, k)
	}
	return func() error {
		var errs []error
		for _, k := range all {
			if k.here {
				errs = append(errs, os.WriteFile(k.path, k.data, 0o600)) // keeps owner and mode: the file is there
			} else if err := os.Remove(k.path); err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}, nil
}

// checkDatabases checks the structure of every B-tree of every database that has amcheck.
func checkDatabases(ctx context.Context, c *pgcluster.Cluster) error {
	conn, err := c.Connect(ctx, pgcluster.Superuser, "postgres")
	if err != nil {
		return err
	}
	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE datallowconn")
	if err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		return err
	}
	for _, name := range names {
		if err := checkDatabase(ctx, c, name); err != nil {
			return uerr.New(uerr.Integrity, "check the indexes of database", name, err, "restore another snapshot: practicectl backup list")
		}
	}
	return nil
}

func checkDatabase(ctx context.Context, c *pgcluster.Cluster, name string) error {
	conn, err := c.Connect(ctx, pgcluster.Superuser, name)
	if err != nil {
		return err
	}
	var there bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'amcheck')").Scan(&there)
	if err == nil && there {
		_, err = conn.Exec(ctx, `SELECT bt_index_check(c.oid::regclass) FROM pg_class c JOIN pg_am a ON a.oid = c.relam JOIN pg_index i ON i.indexrelid = c.oid
			WHERE a.amname = 'btree' AND c.relpersistence = 'p' AND i.indisvalid AND i.indisready`)
	}
	return errors.Join(err, conn.Close(ctx))
}

// lastLines is the end of a log, as far as it helps.
func lastLines(log []byte, n int) []byte {
	at := len(log)
	for ; n > 0 && at > 0; n-- {
		for at--; at > 0 && log[at-1] != '\n'; at-- {
		}
	}
	return log[at:]
}
