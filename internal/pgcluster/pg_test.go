package pgcluster_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"practicectl/internal/pgcluster"
)

func connect(t *testing.T, c *pgcluster.Cluster, role, db string) *pgx.Conn {
	t.Helper()
	conn, err := c.Connect(t.Context(), role, db)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func execSQL(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func scalar[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}
