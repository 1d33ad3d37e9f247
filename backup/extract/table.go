package extract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"practicectl/internal/uerr"
)

// Format is how rows are written.
type Format string

// The formats.
const (
	CSV Format = "csv" // RFC 4180 with a line of column names
	SQL Format = "sql" // a COPY statement with its rows, which psql loads
)

// Table is what is wanted of a database.
type Table struct {
	Database string
	Name     string // "schema.table"; without a schema it is in "public"
	Where    string // an SQL condition on its columns; empty: all rows
	Format   Format
}

// Rows writes the rows of a table to w and returns their number. Views are refused: what they run belongs to whoever wrote the
// snapshot. Error kinds: NotFound (database, table), Usage (the condition), Unreachable.
func (s *Scratch) Rows(ctx context.Context, t Table, w io.Writer) (int64, error) {
	schema, name, ok := strings.Cut(t.Name, ".")
	if !ok {
		schema, name = "public", schema
	}
	var rows int64
	err := s.ask(ctx, t.Database, func(conn *pgx.Conn) error {
		columns, err := columnsOf(ctx, conn, schema, name)
		if err != nil {
			return err
		}
		table := pgx.Identifier{schema, name}.Sanitize()
		query := fmt.Sprintf("SELECT %s FROM %s", columns, table)
		if t.Where != "" {
			query += " WHERE (" + t.Where + "\n)"
		}
		if t.Format == SQL {
			if _, err := fmt.Fprintf(w, "COPY %s (%s) FROM stdin;\n", table, columns); err != nil {
				return err
			}
		}
		copied := map[Format]string{CSV: "COPY (%s) TO STDOUT (FORMAT csv, HEADER)", SQL: "COPY (%s) TO STDOUT"}[t.Format]
		tag, err := conn.PgConn().CopyTo(ctx, w, fmt.Sprintf(copied, query))
		if err != nil {
			return tableError(t, err)
		}
		rows = tag.RowsAffected()
		if t.Format == SQL {
			_, err = io.WriteString(w, "\\.\n")
		}
		return err
	})
	return rows, err
}

// columnsOf lists the columns of a table that can be written back.
func columnsOf(ctx context.Context, conn *pgx.Conn, schema, name string) (string, error) {
	const op = "read the table"
	var kind, columns string
	err := conn.QueryRow(ctx, `SELECT c.relkind::text, coalesce(string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), '')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
		WHERE n.nspname = $1 AND c.relname = $2 GROUP BY c.relkind`, schema, name).Scan(&kind, &columns)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", uerr.New(uerr.NotFound, op, schema+"."+name, errors.New("there is none in the snapshot"), "write it like --table pm.document; the names are as in the database, not folded to lower case")
	case err != nil:
		return "", uerr.New(uerr.Failed, op, schema+"."+name, err, "")
	case kind != "r" && kind != "p" && kind != "m":
		return "", uerr.New(uerr.NotFound, op, schema+"."+name, errors.New("it is no table"), "name the table with --table")
	}
	return columns, nil
}

// tableError tells the condition of the caller from other trouble. Nothing of the rows is in it.
func tableError(t Table, err error) error {
	const op = "read the table"
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (strings.HasPrefix(pg.Code, "42") || strings.HasPrefix(pg.Code, "22")) && t.Where != "" {
		return uerr.New(uerr.Usage, op, t.Name, errors.New("the condition was not understood: SQLSTATE "+pg.Code), `write --where as after WHERE in SQL, such as "patient_id = '…'"`)
	}
	if errors.As(err, &pg) {
		return uerr.New(uerr.Integrity, op, t.Name, errors.New("PostgreSQL refused: SQLSTATE "+pg.Code), "restore another snapshot: practicectl backup list")
	}
	return uerr.New(uerr.KindOf(err), op, t.Name, err, "")
}
