package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// fingerprint is every row of a database: per table, how many rows there are and a hash over all of them.
type fingerprint map[string]tableState

type tableState struct {
	Rows int64
	Hash string
}

// take reads every row of every table of the practice's schemas in one repeatable read transaction, so that the picture
// is of one moment.
func take(ctx context.Context, conn *pgx.Conn) (fingerprint, error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }() // it has only read
	rows, err := tx.Query(ctx, `SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND n.nspname IN ('pm', 'sec', 'audit') ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	if len(tables) == 0 {
		return nil, errors.New("the database holds no tables of the practice")
	}
	out := fingerprint{}
	for _, table := range tables {
		state, err := hashTable(ctx, tx, table)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", table, err)
		}
		out[table] = state
	}
	return out, nil
}

// hashTable hashes every row of a table in the order of their hashes, which needs no key.
func hashTable(ctx context.Context, tx pgx.Tx, table string) (tableState, error) {
	rows, err := tx.Query(ctx, `SELECT sha256(convert_to(t::text, 'UTF8')) AS h FROM `+table+` t ORDER BY h`)
	if err != nil {
		return tableState{}, err
	}
	defer rows.Close()
	sum, count := sha256.New(), int64(0)
	for rows.Next() {
		sum.Write(rows.RawValues()[0])
		count++
	}
	return tableState{Rows: count, Hash: hex.EncodeToString(sum.Sum(nil))}, rows.Err()
}

// rows is how many rows there are in all tables together.
func (f fingerprint) rows() (n int64) {
	for _, t := range f {
		n += t.Rows
	}
	return n
}

// differences names the tables that differ between f and other, apart from those to ignore.
func (f fingerprint) differences(other fingerprint, ignore ...string) []string {
	var out []string
	for table, state := range f {
		if other[table] != state && !slices.Contains(ignore, table) {
			out = append(out, fmt.Sprintf("%s: %d rows against %d", table, state.Rows, other[table].Rows))
		}
	}
	for table := range other {
		if _, ok := f[table]; !ok && !slices.Contains(ignore, table) {
			out = append(out, table+": only in the second")
		}
	}
	slices.Sort(out)
	return out
}
