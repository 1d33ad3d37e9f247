package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// begun is a transaction that WithTx has opened and will end itself. It gives domain code pgx's query methods and
// nothing that could end the transaction or reach the bare connection.
type begun struct{ c *pgxpool.Conn }

var errNotYours = errors.New("store: the transaction belongs to WithTx")

func (b begun) Begin(ctx context.Context) (pgx.Tx, error) { return nil, errNotYours }
func (b begun) Commit(context.Context) error              { return errNotYours }
func (b begun) Rollback(context.Context) error            { return errNotYours }
func (b begun) Conn() *pgx.Conn                           { return nil }
func (b begun) LargeObjects() pgx.LargeObjects            { return pgx.LargeObjects{} }

func (b begun) CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error) {
	return 0, errNotYours // COPY does not ask row security
}

func (b begun) Prepare(context.Context, string, string) (*pgconn.StatementDescription, error) {
	return nil, errNotYours
}

func (b begun) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	return b.c.SendBatch(ctx, batch)
}

func (b begun) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return b.c.Exec(ctx, sql, args...)
}

func (b begun) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return b.c.Query(ctx, sql, args...)
}

func (b begun) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return b.c.QueryRow(ctx, sql, args...)
}
