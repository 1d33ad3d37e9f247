package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"practicectl/internal/uerr"
)

//go:embed migrations/*.sql
var embedded embed.FS

// Schema compares the migrations in this binary with those in a database.
type Schema struct {
	Known   int64 `json:"known"`   // newest migration in this binary
	Applied int64 `json:"applied"` // newest migration in the database; 0: none
	Oldest  int64 `json:"oldest"`  // oldest schema that a server must know to run on the database
	Floor   int64 `json:"floor"`   // what Oldest will be once this binary has migrated; tells an updater beforehand
}

// Check returns nil when this binary can run on the database: the schema is the one it knows, or a newer one that was
// declared compatible with it. Error kind: Precond.
func (s Schema) Check() error {
	switch {
	case s.Applied > s.Known && s.Oldest > s.Known:
		return uerr.New(uerr.Precond, "start the server", "", fmt.Errorf("the database has schema %d, this version knows %d: it belongs to a newer version", s.Applied, s.Known),
			"practicectl update apply, or practicectl update rollback")
	case s.Applied < s.Known:
		return uerr.New(uerr.Precond, "start the server", "", fmt.Errorf("the database has schema %d, this version needs %d", s.Applied, s.Known),
			"practice-server migrate")
	}
	return nil
}

// Known is the newest migration in this binary.
func Known() int64 {
	names, err := fs.Glob(embedded, "migrations/*.sql")
	if err != nil {
		return 0 // cannot be: the pattern is constant
	}
	var newest int64
	for _, name := range names {
		digits, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
			newest = max(newest, n)
		}
	}
	return newest
}

// Floor is the oldest schema that a server must know to run on a database that this binary has migrated; 0 when a
// migration file is damaged.
func Floor() int64 {
	dir, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return 0 // cannot be: the folder is embedded
	}
	oldest, err := floor(dir)
	if err != nil {
		return 0
	}
	return oldest
}

const (
	madeQuery    = `SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'sec' AND c.relname = 'schema_version')`
	appliedQuery = `SELECT coalesce(max(version_id), 0) FROM sec.schema_version WHERE is_applied`
	oldestQuery  = `SELECT coalesce(max(oldest), 0) FROM sec.schema_floor`
)

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func readSchema(ctx context.Context, q querier) (Schema, error) {
	v := Schema{Known: Known(), Floor: Floor()}
	var made bool
	if err := q.QueryRow(ctx, madeQuery).Scan(&made); err != nil || !made {
		return v, err
	}
	if err := q.QueryRow(ctx, appliedQuery).Scan(&v.Applied); err != nil || v.Applied == 0 {
		return v, err
	}
	err := q.QueryRow(ctx, oldestQuery).Scan(&v.Oldest)
	return v, err
}

func (s *Store) schema(ctx context.Context) (Schema, error) { return readSchema(ctx, s.pool) }

// ReadSchema asks the database at connString, which may be empty, for its schema. Error kind: Unreachable.
func ReadSchema(ctx context.Context, connString string) (Schema, error) {
	c, err := pgx.Connect(ctx, connString)
	if err != nil {
		return Schema{Known: Known(), Floor: Floor()}, uerr.New(uerr.Unreachable, "connect to the database", "", err, "practicectl db status")
	}
	v, err := readSchema(ctx, c)
	return v, errors.Join(err, c.Close(ctx))
}

// Migrate brings the database at connString (as pm_migrate) up to this binary's schema, each migration in a
// transaction of its own, one runner at a time. It refuses a database with a newer schema. The tables belong to
// pm_owner, which cannot log in. Error kinds: Unreachable, Precond, Failed.
func Migrate(ctx context.Context, connString string, log *slog.Logger) (Schema, error) {
	before, err := ReadSchema(ctx, connString)
	if err != nil {
		return before, err
	}
	if before.Applied > before.Known {
		return before, before.Check() // a compatible newer schema is as good as migrated
	}
	cfg, err := pgx.ParseConfig(connString)
	if err != nil {
		return before, uerr.New(uerr.Config, "read the database address", "", err, "practicectl config validate")
	}
	cfg.RuntimeParams["role"] = "pm_owner"
	cfg.RuntimeParams["timezone"] = "UTC"
	cfg.RuntimeParams["lock_timeout"] = "30s"
	db := stdlib.OpenDB(*cfg)
	after, err := migrate(ctx, db, log)
	after.Known = before.Known
	return after, errors.Join(err, db.Close())
}

func migrate(ctx context.Context, db *sql.DB, log *slog.Logger) (Schema, error) {
	var v Schema
	if _, err := db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS sec`); err != nil {
		return v, uerr.New(uerr.Precond, "migrate the database", "", err, "practicectl db init")
	}
	dir, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return v, err
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return v, err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithTableName("sec.schema_version"), goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return v, uerr.New(uerr.Failed, "read the migrations", "", err, "")
	}
	done, err := p.Up(ctx)
	for _, r := range done {
		log.Info("migrated", "migration", r.Source.Path, "ms", r.Duration.Milliseconds())
	}
	if err != nil {
		return v, uerr.New(uerr.Failed, "migrate the database", "", err, "nothing of the failed migration remains; see the cause and run practice-server migrate again")
	}
	if v.Oldest, err = floor(dir); err != nil {
		return v, err
	}
	if _, err := db.ExecContext(ctx, `INSERT INTO sec.schema_floor (oldest) VALUES ($1) ON CONFLICT (single) DO UPDATE SET oldest = greatest(sec.schema_floor.oldest, excluded.oldest)`, v.Oldest); err != nil {
		return v, err
	}
	v.Applied, err = p.GetDBVersion(ctx)
	return v, err
}

// floor works out which servers can still run once all migrations of dir are applied.
func floor(dir fs.FS) (oldest int64, err error) {
	names, err := fs.Glob(dir, "*.sql") // sorted by number
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return 0, err
		}
		digits, _, _ := strings.Cut(name, "_")
		needs, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("migration %s has no number", name)
		}
		if m := compatibleWith.FindSubmatch(text); m != nil {
			if needs, err = strconv.ParseInt(string(m[1]), 10, 64); err != nil {
				return 0, err
			}
		}
		oldest = max(oldest, needs)
	}
	return oldest, nil
}

// compatibleWith is the line by which a migration says which older schema's servers run on it unharmed.
var compatibleWith = regexp.MustCompile(`(?m)^-- compatible-with: (\d+)$`)
