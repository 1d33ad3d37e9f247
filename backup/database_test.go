package backup_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"practicectl/backup"
	"practicectl/backup/proof"
	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
)

const database = pgcluster.DefaultDatabase

// source is the cluster c as a backup sees it.
func source(c *pgcluster.Cluster, paths ...string) backup.Source {
	return backup.Source{Database: &backup.Database{ConnString: c.ConnString(pgcluster.RoleBackup, database), Data: c.Data}, Paths: paths}
}

func connect(t testing.TB, c *pgcluster.Cluster) *pgx.Conn {
	t.Helper()
	conn, err := c.Connect(context.Background(), pgcluster.Superuser, database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execSQL(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// fill makes tables of many kinds: wide rows, indexes of several methods, an unlogged table, a large object.
func fill(t testing.TB, conn *pgx.Conn, rows int) {
	t.Helper()
	for _, sql := range []string{
		`CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL, note text NOT NULL)`,
		`INSERT INTO account SELECT i, 1000, repeat(md5(i::text), 6) FROM generate_series(1, 2000) i`,
		`CREATE TABLE session_note (id bigserial PRIMARY KEY, patient int NOT NULL, body text NOT NULL, at timestamptz NOT NULL DEFAULT now())`,
		fmt.Sprintf(`INSERT INTO session_note (patient, body) SELECT i %% 500, 'Sitzung ' || i || ' ' || repeat(md5((i * 7)::text), 10 + i %% 40) FROM generate_series(1, %d) i`, rows),
		`CREATE INDEX ON session_note (patient, at)`,
		`CREATE INDEX ON session_note USING gin (body gin_trgm_ops)`,
		`CREATE UNLOGGED TABLE scratch AS SELECT i FROM generate_series(1, 10000) i`,
		`CREATE TABLE document (id int PRIMARY KEY, content bytea NOT NULL)`,
		`ALTER TABLE document ALTER content SET STORAGE external`,
		`INSERT INTO document SELECT i, decode(repeat(md5(i::text), 4000), 'hex') FROM generate_series(1, 40) i`,
		`VACUUM ANALYZE`,
	} {
		execSQL(t, conn, sql)
	}
}

// transfer moves money between accounts until stop is closed; the sum stays what it is.
func transfer(t testing.TB, c *pgcluster.Cluster, seed uint64, stop <-chan struct{}, done *sync.WaitGroup, count *atomic.Int64) {
	defer done.Done()
	conn, err := c.Connect(context.Background(), pgcluster.Superuser, database)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(context.Background())
	rng := rand.New(rand.NewPCG(seed, 9))
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		from, to := 1+rng.IntN(2000), 1+rng.IntN(2000)
		if from > to {
			from, to = to, from
		}
		_, err := conn.Exec(context.Background(), fmt.Sprintf(`BEGIN;
			UPDATE account SET balance = balance - 7 WHERE id = %d;
			UPDATE account SET balance = balance + 7 WHERE id = %d;
			INSERT INTO session_note (patient, body) VALUES (%d, repeat('während der Sicherung ', %d));
			COMMIT`, from, to, from%500, 1+rng.IntN(100)))
		if err != nil {
			t.Error(err)
			return
		}
		if n%500 == 499 {
			if _, err := conn.Exec(context.Background(), `DELETE FROM session_note WHERE id % 17 = 3`); err != nil {
				t.Error(err)
				return
			}
		}
		count.Add(1)
	}
}

// startCopy starts the restored data folder of target as a cluster of its own.
func startCopy(t testing.TB, from *pgcluster.Cluster, data string) *pgcluster.Cluster {
	t.Helper()
	c := *from
	c.Data = data
	dir, err := os.MkdirTemp("/tmp", "pr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if c.RunAs != nil {
		if err := os.Chown(dir, int(c.RunAs.UID), int(c.RunAs.GID)); err != nil {
			t.Fatal(err)
		}
	}
	c.SocketDir, c.Log = dir, filepath.Join(dir, "log")
	settings := pgcluster.Settings{Memory: 256 << 20, Extra: map[string]string{"fsync": "off"}}
	if os.Geteuid() == 0 {
		for _, role := range pgcluster.EveryRole() {
			settings.Users = append(settings.Users, pgcluster.UserMap{Account: "root", Role: role})
		}
	}
	if err := c.Configure(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		log, _ := os.ReadFile(c.Log)
		t.Fatalf("%v\n%s", err, log)
	}
	t.Cleanup(func() { _ = c.Stop(context.Background()) })
	if _, err := os.Stat(filepath.Join(data, "standby.signal")); err == nil {
		return &c
	}
	conn := connect(t, &c)
	for under := true; under; time.Sleep(10 * time.Millisecond) {
		if err := conn.QueryRow(t.Context(), `SELECT pg_is_in_recovery()`).Scan(&under); err != nil {
			t.Fatal(err)
		}
	}
	return &c
}

// own gives restored files to the account that runs the cluster.
func own(c *pgcluster.Cluster) func(string) error {
	if c.RunAs == nil {
		return nil
	}
	return func(path string) error { return os.Lchown(path, int(c.RunAs.UID), int(c.RunAs.GID)) }
}

// restoreFolder is a place that the account of c can reach.
func restoreFolder(t testing.TB, c *pgcluster.Cluster) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "rs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if c.RunAs != nil {
		if err := os.Chown(dir, int(c.RunAs.UID), int(c.RunAs.GID)); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "kopie ü")
}

// dump reads every row of every table of the practice as text.
func dump(t testing.TB, conn *pgx.Conn) map[string][]string {
	t.Helper()
	ctx := context.Background()
	rows, err := conn.Query(ctx, `SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema')`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, table := range tables {
		rows, err := conn.Query(ctx, "SELECT md5(t::text) FROM "+table+" t ORDER BY 1")
		if err != nil {
			t.Fatal(err)
		}
		if out[table], err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func sameRows(t testing.TB, want, got map[string][]string) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%d tables, want %d", len(got), len(want))
	}
	for table, rows := range want {
		if !slices.Equal(rows, got[table]) {
			t.Errorf("%s: %d rows differ from the %d of the original", table, len(got[table]), len(rows))
		}
	}
}

// checkIndexes runs amcheck with heapallindexed over every B-tree, and verifies every heap.
func checkIndexes(t testing.TB, conn *pgx.Conn) {
	t.Helper()
	execSQL(t, conn, `SELECT bt_index_check(c.oid::regclass, true) FROM pg_class c JOIN pg_am a ON a.oid = c.relam JOIN pg_index i ON i.indexrelid = c.oid
		WHERE a.amname = 'btree' AND c.relpersistence = 'p' AND i.indisvalid`)
	var problems int
	err := conn.QueryRow(context.Background(), `SELECT count(*) FROM pg_class c, LATERAL verify_heapam(c.oid::regclass) v WHERE c.relkind = 'r' AND c.relpersistence = 'p'`).Scan(&problems)
	if err != nil || problems != 0 {
		t.Errorf("verify_heapam: %d problems, %v", problems, err)
	}
}

func eachMajor(t *testing.T, fn func(t *testing.T, major int)) {
	for _, major := range testenv.PGMajors {
		t.Run(fmt.Sprintf("pg%d", major), func(t *testing.T) { fn(t, major) })
	}
}

func TestO6_BackupUnderLoadRestoresConsistently(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		c := testenv.PG(t, major, testenv.Bootstrapped)
		conn := connect(t, c)
		fill(t, conn, 12000)
		st, _ := dirStore(t)
		g := newRig(t, st)

		stop, count := make(chan struct{}), atomic.Int64{}
		var writers sync.WaitGroup
		writers.Add(2)
		for i := range uint64(2) {
			go transfer(t, c, i, stop, &writers, &count)
		}
		for count.Load() < 50 {
			time.Sleep(5 * time.Millisecond)
		}
		before := count.Load()
		first := g.run(source(c))
		during := count.Load() - before
		second := g.run(source(c))
		close(stop)
		writers.Wait()
		if during < 10 {
			t.Errorf("only %d transactions ran during the backup", during)
		}
		t.Logf("first: %d bytes of %d up in %.2f s, second: %d bytes in %.2f s, %d transactions during the first",
			first.Uploaded, first.Snapshot.Bytes, first.Seconds, second.Uploaded, second.Seconds, during)

		target := restoreFolder(t, c)
		g.restore("latest", target, backup.RestoreOptions{Own: own(c)})
		copied := connect(t, startCopy(t, c, filepath.Join(target, "pg")))
		var sum, scratch int64
		if err := copied.QueryRow(t.Context(), `SELECT sum(balance)::bigint, (SELECT count(*) FROM scratch) FROM account`).Scan(&sum, &scratch); err != nil {
			t.Fatal(err)
		}
		if sum != 2000*1000 || scratch != 0 {
			t.Errorf("sum of balances is %d, unlogged table has %d rows", sum, scratch)
		}
		checkIndexes(t, copied)
	})
}

func TestO5_RestoreIsRowForRowTheSame(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		c := testenv.PG(t, major, testenv.Bootstrapped)
		conn := connect(t, c)
		fill(t, conn, 6000)
		st, _ := dirStore(t)
		g := newRig(t, st)
		etc := writeFiles(t, 2)
		first := g.run(source(c, etc))
		execSQL(t, conn, `UPDATE account SET note = 'geändert' WHERE id % 100 = 0`)
		second := g.run(source(c, etc))
		third := g.run(source(c, etc))
		t.Logf("first %d, changed %d, unchanged %d bytes; %.2f, %.2f, %.2f s", first.Uploaded, second.Uploaded, third.Uploaded, first.Seconds, second.Seconds, third.Seconds)
		if second.Uploaded > first.Uploaded/3 {
			t.Errorf("20 changed rows cost %d bytes; the first snapshot cost %d", second.Uploaded, first.Uploaded)
		}
		if third.Uploaded > 64<<10 {
			t.Errorf("nothing changed and %d bytes went up", third.Uploaded)
		}
		want := dump(t, conn)
		target := restoreFolder(t, c)
		proved := false
		g.restore("latest", target, backup.RestoreOptions{Own: own(c), Prove: func(_ context.Context, dir string) error {
			proved = strings.HasSuffix(dir, ".unverified")
			return proof.Start(t.Context(), proof.Options{Bin: c.Bin, Account: c.RunAs, Data: filepath.Join(dir, "pg")})
		}})
		if !proved {
			t.Error("the copy was not proved beside the target")
		}
		sameTree(t, etc, filepath.Join(target, "files", etc))
		copied := connect(t, startCopy(t, c, filepath.Join(target, "pg")))
		sameRows(t, want, dump(t, copied))
		checkIndexes(t, copied)
	})
}
