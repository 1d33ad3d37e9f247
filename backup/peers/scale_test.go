package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"practicectl/internal/testenv"
)

// BenchmarkPeersFar restores a small database of many files from a store that is 50 ms away.
func BenchmarkPeersFar(b *testing.B) {
	s := newStore(b)
	line := testenv.NewToxiproxy(b, s.Endpoint)
	s.Line = line.URL
	m := newMachine(b, s, 15)
	conn := m.connect(b)
	// A table has a file, its toast table two, its key one: 4,000 files and 94 MB with what every database has.
	execSQL(b, conn, `DO $$ BEGIN FOR i IN 1 .. 780 LOOP
			EXECUTE format('CREATE TABLE t%s AS SELECT n AS id, string_agg(md5((n * 31 + k)::text), '' '') AS body FROM generate_series(1, 80) n, generate_series(1, 24) k GROUP BY n', i);
			EXECUTE format('ALTER TABLE t%s ADD PRIMARY KEY (id)', i);
			IF i % 100 = 0 THEN COMMIT; END IF;
		END LOOP; END $$`, `CHECKPOINT`)
	b.ResetTimer()
	costs := map[string]map[string]cost{}
	tools := toolsFor(m)
	for _, tl := range tools {
		tl.start(b, 0)
		note(costs, "first full, near", tl, tl.backup(b))
		line.Poison(testenv.Toxic{Type: "latency", Stream: "downstream", Attributes: map[string]int{"latency": 50}})
		target := filepath.Join(m.dir, "restored")
		note(costs, "restore over 50 ms", tl, tl.restore(b, target))
		line.Cure()
		if err := os.RemoveAll(target); err != nil {
			b.Fatal(err)
		}
	}
	report(b, tools, []string{"first full, near", "restore over 50 ms"}, costs)
}

// BenchmarkPeersGrowth shows how the cost of a night grows with the database while one page in a thousand changes. It needs 45 GB of
// disk and a quarter of an hour, and so runs only when BENCH_GROWTH names the sizes in MB, such as "2000 20000".
func BenchmarkPeersGrowth(b *testing.B) {
	var sizes []int
	var small, large int
	if n, _ := fmt.Sscan(os.Getenv("BENCH_GROWTH"), &small, &large); n == 2 {
		sizes = []int{small, large}
	}
	for _, size := range sizes {
		b.Run(fmt.Sprintf("pg18-%d-MB", size), func(b *testing.B) {
			m := newMachine(b, newStore(b), 18)
			m.fill(b, data{Name: "mixed", Scale: size * 9 / 10 / 15, Notes: size / 10})
			b.ResetTimer()
			costs := map[string]map[string]cost{}
			ours := &practice{machine: m, label: "practicectl"}
			ours.start(b, 0)
			note(costs, "first full", ours, ours.backup(b))
			note(costs, "nothing changed", ours, ours.backup(b))
			conn := m.connect(b)
			execSQL(b, conn, `UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE ctid = ANY (SELECT format('(%s,1)', n)::tid FROM generate_series(5, pg_relation_size('pgbench_accounts') / 8192 - 1, 1000) n)`, `CHECKPOINT`)
			note(costs, "0.1 % changed", ours, ours.backup(b))
			report(b, []tool{ours}, []string{"first full", "nothing changed", "0.1 % changed"}, costs)
		})
	}
}
