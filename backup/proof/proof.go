// Package proof starts a restored database on a private socket and asks it whether it is sound, before anybody relies on it.
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

// Options say what is proved and how.
type Options struct {
	Bin        pgcluster.Binaries
	Account    *pgcluster.Account // runs PostgreSQL when the caller is root; nil: the caller does
	Data       string             // the restored data folder
	Sockets    string             // existing private folder for the socket, at most 84 bytes; empty: a temporary one
	Invariants Invariants         // what the application promises about its data
}

// Instance is a restored database that runs on a private socket, without TCP, and does nothing by itself.
type Instance struct {
	o       Options
	cluster *pgcluster.Cluster
	undo    []func() error // what puts the folder back as it was, the last one first
}

// Open starts the copy, lets it recover, and waits until it takes writes. The copy is on a timeline of its own from then on:
// what it writes into its log is never mistaken for what the original wrote. Close it in any case, also after an error.
func Open(ctx context.Context, o Options) (*Instance, error) {
	i := &Instance{o: o}
	dir, err := i.sockets()
	if err != nil {
		return i, err
	}
	i.cluster = &pgcluster.Cluster{Bin: o.Bin, Data: o.Data, SocketDir: dir, Log: filepath.Join(dir, "log"), Port: pgcluster.DefaultPort, RunAs: o.Account}
	putBack, err := keepFiles(o.Data, autoConf, "conf.d/10-practicectl.conf", "conf.d/50-local.conf", "pg_hba.conf", "pg_ident.conf")
	if err != nil {
		return i, err
	}
	i.undo = append(i.undo, putBack)
	settings := pgcluster.Settings{Memory: 256 << 20}
	if o.Account != nil { // root asks, the account answers
		settings.Users = []pgcluster.UserMap{{Account: "root", Role: pgcluster.Superuser}}
	}
	if err := i.cluster.Configure(ctx, settings); err != nil {
		return i, err
	}
	if err := i.tame(); err != nil {
		return i, err
	}
	err = i.cluster.Start(ctx)
	if err == nil {
		err = i.recovered(ctx)
	}
	if err != nil {
		log, _ := os.ReadFile(i.cluster.Log) // only adds to the message
		return i, fmt.Errorf("%w\n%s", err, lastLines(log, 15))
	}
	return i, nil
}

// sockets is the folder of the socket and the log.
func (i *Instance) sockets() (string, error) {
	if i.o.Sockets != "" {
		return i.o.Sockets, nil
	}
	dir, err := os.MkdirTemp("", "prove")
	if err != nil {
		return "", err
	}
	i.undo = append(i.undo, func() error { return os.RemoveAll(dir) })
	if i.o.Account != nil {
		err = os.Chown(dir, int(i.o.Account.UID), int(i.o.Account.GID))
	}
	return dir, err
}

// Close stops the instance and gives its configuration files their old content back.
func (i *Instance) Close(ctx context.Context) error {
	err := i.Stop(ctx)
	for n := len(i.undo) - 1; n >= 0; n-- {
		err = errors.Join(err, i.undo[n]())
	}
	i.undo = nil
	return err
}

// Stop shuts the database down cleanly; an instance that is stopped already stays so.
func (i *Instance) Stop(ctx context.Context) error {
	if i.cluster == nil || !i.cluster.Initialized() {
		return nil
	}
	return i.cluster.Stop(context.WithoutCancel(ctx))
}

// Connect opens a connection as the superuser, with nothing in its search path but the system's own.
func (i *Instance) Connect(ctx context.Context, database string) (*pgx.Conn, error) {
	conn, err := i.cluster.Connect(ctx, pgcluster.Superuser, database)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "SET search_path = pg_catalog, pg_temp"); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return conn, nil
}

// Start proves a copy that is about to be put in place: it starts, recovers to the end of the backup, its indexes are in order,
// and what the application promises holds. Nothing is added to the copy. Error kinds: Integrity, and those of a start.
func Start(ctx context.Context, o Options) error {
	i, err := Open(ctx, o)
	if err == nil {
		err = i.indexesInOrder(ctx)
	}
	if err == nil {
		err = i.promisesHold(ctx)
	}
	return errors.Join(err, i.Close(ctx))
}

func (i *Instance) promisesHold(ctx context.Context) error {
	results, err := i.Promises(ctx)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Name == schemaCheck && len(r.Findings) > 0 {
			return nil // no practice was saved, so none is missing
		}
		if len(r.Findings) > 0 {
			return uerr.New(uerr.Integrity, "check that", r.Says, errors.New(r.Findings[0]), "restore another snapshot: practicectl backup list")
		}
	}
	return nil
}

// recovered waits until the server has replayed the log and takes writes: pg_ctl returns before that.
func (i *Instance) recovered(ctx context.Context) error {
	for {
		conn, err := i.cluster.Connect(ctx, pgcluster.Superuser, "postgres")
		if err == nil {
			var recovering bool
			err = conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&recovering)
			if err = errors.Join(err, conn.Close(ctx)); err != nil || !recovering {
				return err
			}
		} else if uerr.KindOf(err) != uerr.Unreachable {
			return err
		}
		if st, serr := i.cluster.Status(ctx); serr != nil || st.State != pgcluster.Running {
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

// lastLines is the end of a log, as far as it helps.
func lastLines(log []byte, n int) []byte {
	at := len(log)
	for ; n > 0 && at > 0; n-- {
		for at--; at > 0 && log[at-1] != '\n'; at-- {
		}
	}
	return log[at:]
}
