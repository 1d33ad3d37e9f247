package store

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"practicectl/server/problem"
)

// WhyUnchanged explains why an UPDATE of one row at a version met no row: it is not there (or not visible), it has
// another version by now, or it may not be changed. Table and key are names from code, never input.
func (t *Tx) WhyUnchanged(ctx context.Context, table, key string, id uuid.UUID, version int64) error {
	var now int64
	err := t.QueryRow(ctx, "SELECT version FROM "+table+" WHERE "+key+" = $1", id).Scan(&now)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return problem.New(problem.NotFound, nil)
	case err != nil:
		return err
	case now != version:
		return problem.New(problem.Stale, nil)
	}
	return problem.New(problem.Forbidden, nil)
}
