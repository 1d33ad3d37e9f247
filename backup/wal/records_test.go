package wal

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
)

// TestRecordsAreThoseOfPostgreSQL reads the log of a real cluster: positions, times of commits and restore points are those
// that the server told.
func TestRecordsAreThoseOfPostgreSQL(t *testing.T) {
	for _, major := range testenv.PGMajors {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			c := testenv.PG(t, major, testenv.Bootstrapped, testenv.Param("wal_keep_size", "1GB"))
			ctx := context.Background()
			conn, err := c.Connect(ctx, pgcluster.Superuser, pgcluster.DefaultDatabase)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(ctx)
			scan := func(into any, sql string) {
				t.Helper()
				if err := conn.QueryRow(ctx, sql).Scan(into); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
			}
			var begin, point, end string
			var committed time.Time
			scan(&begin, `SELECT pg_current_wal_insert_lsn()::text`)
			for i := range 3 {
				if _, err := conn.Exec(ctx, `CREATE TABLE t`+strconv.Itoa(i)+` AS SELECT g, repeat(md5(g::text), 40) FROM generate_series(1, 9000) g`); err != nil {
					t.Fatal(err)
				}
			}
			scan(&point, `SELECT pg_create_restore_point('vor dem Umbau')::text`)
			for _, sql := range []string{`CREATE TABLE last (id int)`, `INSERT INTO last VALUES (1)`} {
				if _, err := conn.Exec(ctx, sql); err != nil {
					t.Fatal(err)
				}
			}
			scan(&committed, `SELECT pg_xact_commit_timestamp(xmin) FROM last`)
			scan(&end, `SELECT pg_current_wal_flush_lsn()::text`)
			from, _ := pgcluster.ParseLSN(begin)
			to, _ := pgcluster.ParseLSN(end)
			var records, units int
			var last Record
			var lastEnded time.Time
			found := false
			for at := from - from%Unit; at < to; at += Unit {
				data, err := os.ReadFile(filepath.Join(c.Data, "pg_wal", pgcluster.WALName(1, at, Unit)))
				if err != nil {
					t.Fatal(err)
				}
				units++
				Records(at, data[:min(Unit, to-at)], func(r Record) bool {
					records++
					last = r
					if when, ok := r.Ended(); ok {
						lastEnded = when
					}
					if name, ok := r.RestorePoint(); ok {
						found = name == "vor dem Umbau" && r.End.String() == point
						if !found {
							t.Errorf("restore point %q ends at %s, the server says %s", name, r.End, point)
						}
					}
					return true
				})
			}
			if units < 2 || records < 1000 || !found {
				t.Errorf("%d records in %d units, restore point found: %v", records, units, found)
			}
			if !lastEnded.Equal(committed) {
				t.Errorf("the last commit was at %s, the server says %s", lastEnded, committed)
			}
			if last.End != to {
				t.Errorf("the last record ends at %s, the log at %s", last.End, to)
			}
		})
	}
}

func FuzzRecords(f *testing.F) {
	f.Add(uint64(0), []byte{})
	f.Add(uint64(Unit), make([]byte, 2*walPage))
	f.Fuzz(func(t *testing.T, at uint64, data []byte) {
		at &^= walPage - 1
		Records(pgcluster.LSN(at), data, func(r Record) bool {
			r.Ended()
			r.RestorePoint()
			if r.Start >= r.End {
				t.Errorf("a record from %s to %s", r.Start, r.End)
			}
			return true
		})
	})
}
