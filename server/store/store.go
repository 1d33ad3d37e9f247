// Package store is the only way to the database: every statement runs in a transaction that carries the caller's
// session token, and PostgreSQL's row security decides with it which rows exist.
//
// The server logs in as pm_server, which owns nothing and bypasses nothing. [Store.WithTx] takes the role pm_app and
// hands the token over for one transaction; sec.uid() proves it there. A wrong WHERE clause, or injected SQL, thus sees
// no more than the caller may see. The schema lives in migrations/; [Migrate] applies it as pm_migrate.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"practicectl/internal/secret"
	"practicectl/internal/uerr"
	"practicectl/server/problem"
)

// Session is the technical half of whoever makes a request: what the database needs to know. The zero Session is a
// person who has not signed in; such a transaction sees no row.
type Session struct {
	Token   secret.Text // the session token, hex
	ID      uuid.UUID   // the session's name in the audit log
	Request uuid.UUID
	IP      string
	Device  string
}

// Options opens a Store.
type Options struct {
	ConnString string // as pm_server; libpq keywords or URL
	MaxConns   int32  // 0: 16
	Log        *slog.Logger
}

// Store is a pool of connections.
type Store struct {
	pool *pgxpool.Pool
}

// Open connects, and refuses a login that could see around row security, tables without it, and a schema that this
// binary does not know. Error kinds: Unreachable, Precond.
func Open(ctx context.Context, o Options) (*Store, error) {
	cfg, err := pgxpool.ParseConfig(o.ConnString)
	if err != nil {
		return nil, uerr.New(uerr.Config, "read the database address", "", err, "practicectl config validate")
	}
	cfg.MaxConns = o.MaxConns
	if cfg.MaxConns == 0 {
		cfg.MaxConns = 16
	}
	cfg.MaxConnIdleTime = 5 * time.Minute
	for k, v := range map[string]string{"application_name": "practice-server", "timezone": "UTC", "statement_timeout": "30s",
		"lock_timeout": "10s", "idle_in_transaction_session_timeout": "60s"} {
		cfg.ConnConfig.RuntimeParams[k] = v
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	cfg.AfterRelease = func(c *pgx.Conn) bool { return clean(c, log) }
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, uerr.New(uerr.Unreachable, "connect to the database", "", err, "practicectl db status")
	}
	s := &Store{pool: pool}
	if err := s.guard(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

// Close ends all connections.
func (s *Store) Close() { s.pool.Close() }

// Ping asks the database for a sign of life. Error kind: Unreachable.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return uerr.New(uerr.Unreachable, "reach the database", "", err, "practicectl db status")
	}
	return nil
}

// Stat counts the pool's connections: in use, and open at all.
func (s *Store) Stat() (used, open int32) {
	st := s.pool.Stat()
	return st.AcquiredConns(), st.TotalConns()
}

// Tx is one transaction of one caller. Its queries see what the caller may see.
type Tx struct {
	pgx.Tx
	session Session
}

// WithTx runs fn in a transaction of the caller and commits when fn returns nil. Errors of the database become
// problems; fn's own errors pass through.
func (s *Store) WithTx(ctx context.Context, who Session, fn func(*Tx) error) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return classify(err)
	}
	defer conn.Release()
	b := &pgx.Batch{}
	b.Queue("BEGIN")
	b.Queue("SET LOCAL ROLE pm_app")
	b.Queue("SELECT set_config('pm.token', $1, true), set_config('pm.session', $2, true), set_config('pm.request', $3, true), set_config('pm.ip', $4, true), set_config('pm.device', $5, true)",
		who.Token.Reveal(), idText(who.ID), idText(who.Request), who.IP, who.Device)
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return classify(errors.Join(err, rollback(conn)))
	}
	tx := &Tx{Tx: begun{conn}, session: who}
	defer func() {
		if p := recover(); p != nil {
			_ = rollback(conn) // the pool drops the connection if it is still in a transaction
			panic(p)
		}
	}()
	if err := fn(tx); err != nil {
		return classify(errors.Join(err, rollback(conn)))
	}
	tag, err := conn.Exec(ctx, "COMMIT")
	if err != nil {
		return classify(errors.Join(err, rollback(conn)))
	}
	if tag.String() != "COMMIT" { // PostgreSQL answers ROLLBACK when the transaction had failed
		return problem.New(problem.Conflict, errors.New("the transaction was rolled back"))
	}
	return nil
}

func idText(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

func rollback(conn *pgxpool.Conn) error {
	if conn.Conn().PgConn().TxStatus() == 'I' {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // also when the request was cancelled
	defer cancel()
	_, err := conn.Exec(ctx, "ROLLBACK")
	return err
}

// clean looks whether a connection that comes back to the pool still carries somebody's identity.
func clean(c *pgx.Conn, log *slog.Logger) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var ok bool
	err := c.QueryRow(ctx, "SELECT current_user = session_user AND coalesce(current_setting('pm.token', true), '') = ''").Scan(&ok)
	if err == nil && !ok {
		log.Error("connection came back with an identity; dropped")
	}
	return err == nil && ok
}

// classify turns what PostgreSQL says into problems. A constraint never says which row it met: that would tell of
// rows the caller may not see.
func classify(err error) error {
	if problem.As(err) != nil {
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return problem.New(problem.NotFound, nil)
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		var ce *pgconn.ConnectError
		if errors.As(err, &ce) || pgconn.SafeToRetry(err) {
			return problem.New(problem.Unavailable, err)
		}
		return err
	}
	cause := fmt.Errorf("%s %s on %s.%s", pg.Code, pg.ConstraintName, pg.SchemaName, pg.TableName) // never Message or Detail: they quote rows
	switch pg.Code {
	case "42501":
		return problem.New(problem.Forbidden, cause)
	case "23P01":
		return problem.New(problem.Taken, cause)
	case "23505", "23503", "40001", "40P01", "55P03":
		return problem.New(problem.Conflict, cause)
	case "23514", "22001", "22003", "22007", "22008", "22P02", "23502", "22021":
		return problem.New(problem.Invalid, cause)
	case "55000":
		return problem.New(problem.Locked, cause)
	case "57P01", "57P02", "57P03", "53300":
		return problem.New(problem.Unavailable, cause)
	}
	return cause
}
