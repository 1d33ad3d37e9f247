package proof

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"practicectl/internal/pgcluster"
)

// maxFindings is how many findings of a check are kept; more are only counted.
const maxFindings = 20

// Result is what one check found. Findings name relations, blocks and rules, never the content of a row.
type Result struct {
	Name     string   `json:"name"`               // stable, such as "b-trees"
	Says     string   `json:"says"`               // what holds when nothing is found
	Looked   int64    `json:"looked"`             // at so many things
	At       string   `json:"at"`                 // what they are, such as "indexes"
	Findings []string `json:"findings,omitempty"` // at most 20
	More     int      `json:"more,omitempty"`     // findings that are not listed
	Skipped  string   `json:"skipped,omitempty"`  // why it was not done
	Value    *int64   `json:"value,omitempty"`    // a number that never falls, such as the rows of a table that only grows
	Seconds  float64  `json:"seconds"`
}

// Passed tells whether the check was done and found nothing.
func (r Result) Passed() bool { return len(r.Findings) == 0 && r.Skipped == "" }

func (r *Result) find(format string, args ...any) {
	if len(r.Findings) == maxFindings {
		r.More++
		return
	}
	r.Findings = append(r.Findings, fmt.Sprintf(format, args...))
}

// measure runs one check.
func measure(name, says, at string, check func(r *Result) error) (Result, error) {
	r := Result{Name: name, Says: says, At: at}
	began := time.Now() // how long, not when: the injected clock is for what is written down
	err := check(&r)
	r.Seconds = time.Since(began).Seconds()
	return r, err
}

// eachDatabase visits every database that can be connected to.
func (i *Instance) eachDatabase(ctx context.Context, visit func(name string, s *session) error) error {
	s := &session{i: i, database: "postgres"}
	names, err := column[string](ctx, s, "SELECT datname::text FROM pg_database WHERE datallowconn ORDER BY datname")
	if err = errors.Join(err, s.close(ctx)); err != nil {
		return err
	}
	for _, name := range names {
		s := &session{i: i, database: name}
		if err := errors.Join(visit(name, s), s.close(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// session is a connection that is opened anew when the server ended it: a damaged page may take the backend that reads it down.
type session struct {
	i        *Instance
	database string
	conn     *pgx.Conn
}

func (s *session) open(ctx context.Context) (*pgx.Conn, error) {
	if s.conn != nil && !s.conn.IsClosed() {
		return s.conn, nil
	}
	if err := s.i.recovered(ctx); err != nil {
		return nil, err
	}
	var err error
	s.conn, err = s.i.Connect(ctx, s.database)
	return s.conn, err
}

func (s *session) close(ctx context.Context) error {
	if s.conn == nil || s.conn.IsClosed() {
		return nil
	}
	return s.conn.Close(context.WithoutCancel(ctx))
}

func column[T any](ctx context.Context, s *session, sql string, args ...any) ([]T, error) {
	conn, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}

// complaint is what the server says about the data when a question fails; ok is false when it was not the data's fault.
func complaint(ctx context.Context, err error) (text string, ok bool) {
	var pg *pgconn.PgError
	switch {
	case ctx.Err() != nil:
		return "", false
	case errors.As(err, &pg):
		return pg.Message, true // without the detail, which may quote values
	case errors.Is(err, errLost):
		return "the database ended the connection", true
	}
	return "", false
}

var errLost = errors.New("the connection was lost")

// ask runs a question that finds something in each row it returns.
func (s *session) ask(ctx context.Context, sql string, args ...any) ([]string, error) {
	found, err := column[string](ctx, s, sql, args...)
	if err != nil && ctx.Err() == nil && s.conn != nil && s.conn.IsClosed() {
		if st, serr := s.i.cluster.Status(ctx); serr == nil && st.State != pgcluster.Stopped {
			err = errors.Join(errLost, err)
		}
	}
	return found, err
}
