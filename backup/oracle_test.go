package backup_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"practicectl/backup"
	"practicectl/backup/pagemap"
	"practicectl/backup/repo"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// The oracle: after a tracked snapshot every page is read, and both page maps are compared. A page that differs although it was
// last changed before the tracked snapshot began was missed.

var oracleRounds = flag.Int("oracle.rounds", 4, "rounds of the coverage oracle for each kind of cluster")

// oracleSteps change a database in every way that is known to have been missed by somebody's summaries. {n} is a random number,
// {m} another one.
var oracleSteps = []string{
	`INSERT INTO t_{k} SELECT i, repeat(md5((i + {n})::text), 1 + i % 30), point(i, {n}), int4range(i, i + {n} % 50), ARRAY[i, {n}], i::text || '.{n}' FROM generate_series(1, 400) i`,
	`UPDATE t_{k} SET body = body || '{n}' WHERE id % 37 = {n} % 37`,
	`UPDATE t_{k} SET id = id + 1 WHERE id % 53 = {n} % 53`,
	`DELETE FROM t_{k} WHERE id % 29 = {n} % 29`,
	`VACUUM t_{k}`, `VACUUM (FREEZE) t_{k}`, `VACUUM FULL t_{k}`, `CLUSTER t_{k} USING t_{k}_id`, `REINDEX TABLE t_{k}`,
	`TRUNCATE t_{k}`, `DELETE FROM t_{k} WHERE id > 200; VACUUM t_{k}`,
	`ALTER TABLE t_{k} SET TABLESPACE far`, `ALTER TABLE t_{k} SET TABLESPACE pg_default`,
	`ALTER TABLE t_{k} SET UNLOGGED`, `ALTER TABLE t_{k} SET LOGGED`,
	`SELECT count(*) FROM t_{k} WHERE body LIKE '%{n}%'`,
	`SELECT nextval('counter') FROM generate_series(1, 1 + {n} % 40)`,
	`SELECT lo_from_bytea(0, decode(repeat(md5('{n}'), 300), 'hex'))`,
	`BEGIN; CREATE TABLE copied_{n} AS SELECT * FROM t_{k}; ALTER TABLE copied_{n} ADD COLUMN extra int DEFAULT {n}; COMMIT; DROP TABLE copied_{n}`,
	`BEGIN; INSERT INTO t_{k} (id, body) SELECT i, 'weg' FROM generate_series(1, 300) i; ROLLBACK`,
	`CREATE DATABASE d_{n} TEMPLATE template0 STRATEGY file_copy`, `CREATE DATABASE e_{n} TEMPLATE template0 STRATEGY wal_log`,
	`DO $$ BEGIN EXECUTE (SELECT coalesce(min(format('ALTER DATABASE %I IS_TEMPLATE false', datname)), 'SELECT 1') FROM pg_database WHERE datname ~ '^[de]_'); END $$`,
	`CHECKPOINT`,
}

// oracleRig is a cluster with a table for each access method, and a repository.
type oracleRig struct {
	*rig
	c   *pgcluster.Cluster
	sql func(string)
}

func newOracleRig(t *testing.T, c *pgcluster.Cluster) *oracleRig {
	t.Helper()
	conn := connect(t, c)
	place := filepath.Join(c.SocketDir, "fern")
	err := os.Mkdir(place, 0o700)
	if give := own(c); err == nil && give != nil {
		err = give(place)
	}
	if err != nil {
		t.Fatal(err)
	}
	o := &oracleRig{c: c, sql: func(sql string) { execSQL(t, conn, sql) }}
	o.sql(`CREATE TABLESPACE far LOCATION '` + place + `'`)
	o.sql(`CREATE SEQUENCE counter`)
	for k := range 3 {
		for _, sql := range []string{
			`CREATE TABLE t_{k} (id int, body text, at point, span int4range, tags int[], path text)`,
			`CREATE INDEX t_{k}_id ON t_{k} (id)`, `CREATE INDEX ON t_{k} USING hash (body)`, `CREATE INDEX ON t_{k} USING gist (at)`,
			`CREATE INDEX ON t_{k} USING spgist (path)`, `CREATE INDEX ON t_{k} USING spgist (span)`, `CREATE INDEX ON t_{k} USING gin (tags)`, `CREATE INDEX ON t_{k} USING brin (id)`,
			oracleSteps[0],
		} {
			o.sql(strings.NewReplacer("{k}", fmt.Sprint(k), "{n}", "7").Replace(sql))
		}
	}
	st, _ := dirStore(t)
	o.rig = newRig(t, st)
	return o
}

func (o *oracleRig) take(full bool) backup.Report {
	o.t.Helper()
	opts := o.options()
	opts.Full = full
	rep, err := backup.Run(o.t.Context(), o.host(), source(o.c), opts, progress.None)
	if err != nil {
		o.t.Fatal(err)
	}
	return rep
}

func (o *oracleRig) tagger() *repo.Tagger { return o.keys.Index.Tagger("page map") }

// open opens a copy of the page map of a snapshot.
func (o *oracleRig) open(snapshot string) *pagemap.Map {
	o.t.Helper()
	dir := o.t.TempDir()
	data, err := os.ReadFile(pagemap.Path(o.cache, snapshot))
	if err == nil {
		err = os.WriteFile(pagemap.Path(dir, snapshot), data, 0o600)
	}
	if err != nil {
		o.t.Fatal(err)
	}
	m, err := pagemap.Open(dir, snapshot, o.tagger)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = m.Close() })
	return m
}

// missed reads every page and names those that the tracked snapshot before, of which m is the page map, missed.
func (o *oracleRig) missed(m *pagemap.Map) (out []string) {
	o.t.Helper()
	full := o.open(o.take(true).Snapshot.ID)
	var a, b pagemap.Rows
	for path, f := range full.Files() {
		if !strings.HasPrefix(path, "pg/base/") && !strings.HasPrefix(path, "pg/pg_tblspc/") && !strings.HasPrefix(path, "pg/global/") {
			continue // the status of transactions, which goes on and is always read whole
		}
		known := m.File(path)
		if known == nil || len(known.Sections) != len(f.Sections) {
			out = append(out, path+" is not there or has another length")
			continue
		}
		for k := range f.Sections {
			if err := errors.Join(m.Rows(&known.Sections[k], &a), full.Rows(&f.Sections[k], &b)); err != nil {
				o.t.Fatal(err)
			}
			for i := range b.Len() {
				switch {
				case b.At(i).Trace.LSN() >= m.Facts.Start: // changed since
				case i >= a.Len():
					out = append(out, fmt.Sprintf("%s block %d is not there", path, i))
				case a.At(i).ID == b.At(i).ID:
				case m.Facts.Checksums == 0 && a.At(i).Trace.LSN() == b.At(i).Trace.LSN() && !strings.Contains(filepath.Base(path), "_"): // hint bits
				case i == 0 && o.spGistMeta(path):
				default:
					out = append(out, fmt.Sprintf("%s block %d, last logged change at %X, the snapshot began at %X", path, i, b.At(i).Trace.LSN(), m.Facts.Start))
				}
			}
		}
	}
	return out
}

func (o *oracleRig) spGistMeta(path string) bool {
	page, err := os.ReadFile(filepath.Join(o.c.Data, filepath.FromSlash(strings.TrimPrefix(path, "pg/"))))
	return err == nil && len(page) >= repo.PageSize && binary.LittleEndian.Uint32(page[24:]) == 0xBA0BABEE
}

// withoutChecksums does what pg_checksums --disable does: it notes it in the control file.
func withoutChecksums(t *testing.T, c *pgcluster.Cluster) {
	t.Helper()
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(c.Data, "global", "pg_control")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const checksums, crc = 252, 292
	binary.LittleEndian.PutUint32(raw[checksums:], 0)
	binary.LittleEndian.PutUint32(raw[crc:], crc32.Checksum(raw[:crc], crc32.MakeTable(crc32.Castagnoli)))
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestO6_TrackedSnapshotsMissNothing is the coverage oracle over random programs; -oracle.rounds makes it run for longer.
func TestO6_TrackedSnapshotsMissNothing(t *testing.T) {
	for _, checksums := range []bool{true, false} {
		t.Run(fmt.Sprintf("checksums %v", checksums), func(t *testing.T) {
			rng := seeded(t)
			c := testenv.PG(t, 18, testenv.Bootstrapped, testenv.Param("autovacuum", "off"))
			if !checksums {
				withoutChecksums(t, c)
			}
			o := newOracleRig(t, c)
			o.take(false)
			for round := range *oracleRounds {
				for range 12 {
					n := rng.IntN(1_000_000)
					step := strings.NewReplacer("{k}", fmt.Sprint(rng.IntN(3)), "{n}", fmt.Sprint(n)).Replace(oracleSteps[rng.IntN(len(oracleSteps))])
					for sql := range strings.SplitSeq(step, "; ") {
						if strings.HasPrefix(step, "DO ") {
							sql = step
						}
						o.sql(sql)
						if sql == step {
							break
						}
					}
				}
				rep := o.take(false)
				if rep.Mode != backup.Tracked {
					t.Fatalf("round %d was read in full: %s", round, rep.Reason)
				}
				if rng.IntN(3) > 0 || round == *oracleRounds-1 {
					for _, page := range o.missed(o.open(rep.Snapshot.ID)) {
						t.Errorf("round %d: %s", round, page)
					}
				}
			}
			o.verifyAll()
		})
	}
}

// forge rewrites the page map of the last snapshot with its key, as a fault of ours would: the tags are right and the content is not.
func (o *oracleRig) forge(snapshot string, facts func(*pagemap.Facts), rows func(path string, r *pagemap.Rows)) {
	o.t.Helper()
	m := o.open(snapshot)
	next, err := pagemap.Create(o.cache, snapshot, o.tagger)
	if err != nil {
		o.t.Fatal(err)
	}
	defer next.Abandon()
	var files []pagemap.File
	var r pagemap.Rows
	for path, f := range m.Files() {
		g := pagemap.File{Path: path, Digest: f.Digest}
		for k, s := range f.Sections {
			if err := m.Rows(&f.Sections[k], &r); err != nil {
				o.t.Fatal(err)
			}
			if rows != nil {
				rows(path, &r)
			}
			at, err := next.Add(&r)
			if err != nil {
				o.t.Fatal(err)
			}
			at.Read, at.Packs, at.Stored = s.Read, s.Packs, s.Stored
			g.Sections = append(g.Sections, at)
		}
		files = append(files, g)
	}
	known := m.Facts
	if facts != nil {
		facts(&known)
	}
	if err := next.Finish(known, files, m.Frames, m.Packs, m.Retired); err != nil {
		o.t.Fatal(err)
	}
}

func (o *oracleRig) path(t *testing.T, relation string) string {
	t.Helper()
	var path string
	if err := connect(t, o.c).QueryRow(t.Context(), `SELECT pg_relation_filepath($1::regclass)`, relation).Scan(&path); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestO6_TheOracleNotices are its negative controls: summaries that lack pages, and a page map that is wrong.
func TestO6_TheOracleNotices(t *testing.T) {
	t.Run("pages that no summary names", func(t *testing.T) {
		o := newOracleRig(t, testenv.PG(t, 18, testenv.Bootstrapped, testenv.Param("autovacuum", "off")))
		rep := o.take(false)
		o.sql(`UPDATE t_0 SET body = 'neu' WHERE id % 5 = 0`)
		o.sql(`CHECKPOINT`)
		var now uint64
		if err := connect(t, o.c).QueryRow(t.Context(), `SELECT (redo_lsn - '0/0'::pg_lsn)::int8 FROM pg_control_checkpoint()`).Scan(&now); err != nil {
			t.Fatal(err)
		}
		o.forge(rep.Snapshot.ID, func(f *pagemap.Facts) { f.Start = now }, nil) // so that the update is not asked for
		opts := o.options()
		rep, err := backup.Run(t.Context(), o.host(), source(o.c), opts, progress.None)
		if rep.Mode == backup.Tracked && err == nil {
			if missed := o.missed(o.open(rep.Snapshot.ID)); len(missed) == 0 {
				t.Error("the oracle did not notice")
			}
		} else if uerr.KindOf(err) != uerr.Integrity { // its own audit was quicker
			t.Errorf("%s (%s), %v", rep.Mode, rep.Reason, err)
		}
	})
	t.Run("an entry of the page map", func(t *testing.T) {
		o := newOracleRig(t, testenv.PG(t, 18, testenv.Bootstrapped, testenv.Param("autovacuum", "off")))
		rep := o.take(false)
		path := o.path(t, "t_1")
		o.forge(rep.Snapshot.ID, nil, func(name string, r *pagemap.Rows) {
			if name == "pg/"+path {
				r.Pages[32*2] ^= 1    // id
				r.Pages[32*2+20] ^= 1 // trace
			}
		})
		for n := range 17 {
			rep, err := backup.Run(t.Context(), o.host(), source(o.c), o.options(), progress.None)
			if err == nil && rep.Mode == backup.Tracked {
				continue
			}
			if uerr.KindOf(err) != uerr.Integrity || !strings.Contains(err.Error(), "block 2 of "+path) || rep.Mode != backup.FullRead || !strings.Contains(rep.Reason, "audit") {
				t.Errorf("run %d: %s (%s), %v", n, rep.Mode, rep.Reason, err)
			}
			if next := o.take(false); next.Mode != backup.FullRead || !strings.Contains(next.Reason, "audit") {
				t.Errorf("the run after is %s: %s", next.Mode, next.Reason)
			}
			if next := o.take(false); next.Mode != backup.Tracked {
				t.Errorf("and the one after that is %s: %s", next.Mode, next.Reason)
			}
			return
		}
		t.Error("no audit noticed")
	})
}

// TestO6_VisibilityMapsAreNeverTrustedToTheLog is the case that PostgreSQL's own incremental backup gets wrong: deleted rows must
// not come back by an index-only scan.
func TestO6_VisibilityMapsAreNeverTrustedToTheLog(t *testing.T) {
	c := testenv.PG(t, 18, testenv.Bootstrapped, testenv.Param("autovacuum", "off"))
	conn := connect(t, c)
	st, _ := dirStore(t)
	g := newRig(t, st)
	execSQL(t, conn, `CREATE TABLE patient (id int PRIMARY KEY, name text)`)
	execSQL(t, conn, `INSERT INTO patient SELECT i, 'Patient ' || i FROM generate_series(1, 20000) i`)
	execSQL(t, conn, `VACUUM (FREEZE, ANALYZE) patient`)
	g.run(source(c))
	var heap string
	if err := conn.QueryRow(t.Context(), `SELECT pg_relation_filepath('patient')`).Scan(&heap); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(c.Data, heap+"_vm"))
	if err != nil {
		t.Fatal(err)
	}
	execSQL(t, conn, `DELETE FROM patient WHERE id IN (77, 12345)`)
	if rep := g.run(source(c)); rep.Mode != backup.Tracked {
		t.Fatalf("read in full: %s", rep.Reason)
	}
	count := func(data string, tamper bool) (n int) {
		if tamper {
			if err := os.WriteFile(filepath.Join(data, heap+"_vm"), before, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		copied := connect(t, startCopy(t, c, data))
		for _, sql := range []string{`SET enable_seqscan = off`, `SET enable_bitmapscan = off`} {
			execSQL(t, copied, sql)
		}
		if err := copied.QueryRow(t.Context(), `SELECT count(*) FROM patient WHERE id IN (77, 12345)`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	target := restoreFolder(t, c)
	g.restore("latest", target, backup.RestoreOptions{Own: own(c)})
	if n := count(filepath.Join(target, "pg"), false); n != 0 {
		t.Errorf("%d deleted patients came back", n)
	}
	// With the map of the snapshot before they do: the test would notice.
	target = restoreFolder(t, c)
	g.restore("latest", target, backup.RestoreOptions{Own: own(c)})
	if n := count(filepath.Join(target, "pg"), true); n != 2 {
		t.Errorf("with the old visibility map %d deleted patients are seen, want 2", n)
	}
}
