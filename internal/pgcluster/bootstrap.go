package pgcluster

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"practicectl/internal/uerr"
)

//go:embed bootstrap_cluster.sql
var bootstrapCluster string

//go:embed bootstrap_database.sql
var bootstrapDatabase string

// BootstrapOptions says what to prepare.
type BootstrapOptions struct {
	Database string // empty: DefaultDatabase
}

// BootstrapVersion identifies what Bootstrap does: it changes whenever the embedded SQL changes.
func BootstrapVersion() string {
	sum := sha256.Sum256([]byte(bootstrapCluster + "\x00" + bootstrapDatabase))
	return hex.EncodeToString(sum[:4])
}

// Bootstrap makes what the product needs in a running cluster: roles, the database, extensions and the schema
// practice_ops. It converges: running it again repairs attributes and rights that were changed. Error kinds:
// Unreachable, Auth, Precond (an extension is not installed).
func Bootstrap(ctx context.Context, c *Cluster, o BootstrapOptions) error {
	if o.Database == "" {
		o.Database = DefaultDatabase
	}
	if err := c.asSuperuser(ctx, "postgres", func(conn *pgx.Conn) error {
		if err := execScript(ctx, conn, bootstrapCluster); err != nil {
			return err
		}
		return ensureDatabase(ctx, conn, o.Database)
	}); err != nil {
		return err
	}
	return c.asSuperuser(ctx, o.Database, func(conn *pgx.Conn) error { return execScript(ctx, conn, bootstrapDatabase) })
}

func (c *Cluster) asSuperuser(ctx context.Context, db string, do func(*pgx.Conn) error) error {
	conn, err := c.Connect(ctx, Superuser, db)
	if err != nil {
		return err
	}
	err = do(conn)
	if closeErr := conn.Close(ctx); err == nil {
		err = closeErr
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "0A000" || pg.Code == "58P01") { // the extension's files are missing
		return uerr.New(uerr.Precond, "prepare the database", db, errors.New(pg.Message), "install PostgreSQL with its contrib modules: "+AptLine)
	}
	return uerr.New(uerr.Failed, "prepare the database", db, err, "")
}

// onlyOne is a lock in the database (any number that nothing else takes) until the session ends. The server goes on with the
// statement of a client that was killed: the next one must wait for its end.
const onlyOne = "SELECT pg_advisory_lock(7022571913)"

// execScript runs all statements in one transaction, when no other session prepares the database.
func execScript(ctx context.Context, conn *pgx.Conn, script string) error {
	if _, err := conn.Exec(ctx, onlyOne); err != nil {
		return err
	}
	_, err := conn.PgConn().Exec(ctx, script).ReadAll()
	return err
}

// ensureDatabase makes the database or repairs its owner, and closes it and the maintenance databases to everybody
// who is not named.
func ensureDatabase(ctx context.Context, conn *pgx.Conn, name string) error {
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil {
		return err
	}
	id := pgx.Identifier{name}.Sanitize()
	verb := "CREATE DATABASE " + id + " OWNER pm_owner"
	if there {
		verb = "ALTER DATABASE " + id + " OWNER TO pm_owner"
	}
	for _, sql := range []string{
		verb,
		"REVOKE ALL ON DATABASE " + id + " FROM PUBLIC",
		"GRANT CONNECT ON DATABASE " + id + " TO pm_server, pm_migrate, pm_backup, pm_sealer, pm_auditor",
		"REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}
