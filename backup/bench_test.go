package backup_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"practicectl/backup"
	"practicectl/internal/testenv"
)

// benchRows makes about 230 MB of session notes and their indexes; PRACTICE_BENCH_ROWS asks for more.
func benchRows() int {
	if n, err := strconv.Atoi(os.Getenv("PRACTICE_BENCH_ROWS")); err == nil {
		return n
	}
	return 150000
}

// notes fills the database of a benchmark.
func notes(b *testing.B, conn *pgx.Conn) {
	b.Helper()
	execSQL(b, conn, `CREATE TABLE session_note (id bigserial PRIMARY KEY, patient int NOT NULL, body text NOT NULL)`)
	execSQL(b, conn, fmt.Sprintf(`INSERT INTO session_note (patient, body) SELECT i %% 2000, string_agg(md5((i * 31 + k)::text) || ' Patientin berichtet über Schlaf und Stimmung. ', '')
		FROM generate_series(1, %d) i, generate_series(1, 16) k GROUP BY i`, benchRows()))
	execSQL(b, conn, `VACUUM FREEZE`)
	execSQL(b, conn, `CHECKPOINT`)
}

// BenchmarkBackup measures what an administrator waits for, with PostgreSQL 15 in full-read mode and a store in a folder:
// the first snapshot, and one of a database in which nothing or one page in a hundred changed.
func BenchmarkBackup(b *testing.B) {
	c := testenv.PG(b, 15, testenv.Bootstrapped)
	conn := connect(b, c)
	notes(b, conn)
	measure := func(b *testing.B, rep backup.Report) {
		b.SetBytes(rep.Snapshot.Bytes)
		b.ReportMetric(float64(rep.Uploaded)/(1<<20), "MiB-up")
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			st, _ := dirStore(b)
			measure(b, newRig(b, st).run(source(c)))
		}
	})
	st, _ := dirStore(b)
	g := newRig(b, st)
	g.run(source(c))
	b.Run("nothing-changed", func(b *testing.B) {
		for b.Loop() {
			measure(b, g.run(source(c)))
		}
	})
	b.Run("one-page-in-100", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			execSQL(b, conn, `UPDATE session_note SET patient = patient + 1 WHERE id % 600 = 5`)
			execSQL(b, conn, `CHECKPOINT`)
			b.StartTimer()
			measure(b, g.run(source(c)))
		}
	})
}
