package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"practicectl/backup/extract"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// scratchFor opens the newest snapshot's database, below a folder that holds nothing else.
func (g *rig) scratchFor(t *testing.T, c *pgcluster.Cluster) (*extract.Scratch, string) {
	t.Helper()
	dir := filepath.Dir(restoreFolder(t, c))
	s, err := extract.Open(t.Context(), g.holder(), "latest", extract.Options{Dir: dir, Account: c.RunAs, Own: own(c), Now: time.Now,
		Binaries: func(context.Context, int) (pgcluster.Binaries, error) { return c.Bin, nil }}, progress.None)
	if err != nil {
		t.Fatal(err, s.Close())
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, dir
}

// TestO5_ATableAndADocumentComeBackAlone takes rows out of a snapshot whose practice has lost them since.
func TestO5_ATableAndADocumentComeBackAlone(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		c := testenv.PG(t, major, testenv.Bootstrapped)
		conn := connect(t, c)
		fill(t, conn, 300)
		letter := bytes.Repeat([]byte("Befund, vertraulich. "), 40000)
		sum := sha256.Sum256(letter)
		for _, sql := range []string{
			`CREATE SCHEMA pm`, `CREATE TABLE pm.document (id uuid PRIMARY KEY, name text, size bigint, sha256 bytea)`,
			`CREATE TABLE pm.document_chunk (document_id uuid, seq int, data bytea)`, `CREATE VIEW pm.trap AS SELECT 1 AS one FROM pg_sleep(600)`,
			`CREATE TABLE pm."Odd name" (id int, twice int GENERATED ALWAYS AS (id * 2) STORED, note text)`,
			`INSERT INTO pm."Odd name" (id, note) VALUES (1, E'a,"b"\nc\\d'), (2, NULL)`,
		} {
			execSQL(t, conn, sql)
		}
		const id, torn = "0190a1b2-0000-7000-8000-000000000001", "0190a1b2-0000-7000-8000-000000000002"
		for _, d := range []string{id, torn} {
			execSQL(t, conn, `INSERT INTO pm.document VALUES ($1, 'Brief.pdf', $2, $3)`, d, len(letter), sum[:])
			for i := 0; i*262144 < len(letter); i++ {
				execSQL(t, conn, `INSERT INTO pm.document_chunk VALUES ($1, $2, $3)`, d, i, letter[i*262144:min(len(letter), (i+1)*262144)])
			}
		}
		execSQL(t, conn, `DELETE FROM pm.document_chunk WHERE document_id = $1 AND seq = 1`, torn)
		st, _ := dirStore(t)
		g := newRig(t, st)
		g.run(source(c, writeFiles(t, 1)))
		execSQL(t, conn, `DROP SCHEMA pm CASCADE`)
		s, dir := g.scratchFor(t, c)
		if left, err := filepath.Glob(filepath.Join(dir, "*", "copy", "files")); err != nil || len(left) != 0 {
			t.Errorf("the files beside the database were laid, too: %v, %v", left, err)
		}
		docs := extract.Documents{Database: database, Facts: "SELECT name, size, sha256 FROM pm.document WHERE id::text = $1",
			Pieces: "SELECT data FROM pm.document_chunk WHERE document_id::text = $1 ORDER BY seq"}
		var out bytes.Buffer
		if d, err := s.Document(t.Context(), docs, id, &out); err != nil || d.Name != "Brief.pdf" || !bytes.Equal(out.Bytes(), letter) {
			t.Errorf("document: %+v, %v, %d bytes", d, err, out.Len())
		}
		if _, err := s.Document(t.Context(), docs, torn, &out); uerr.KindOf(err) != uerr.Integrity {
			t.Errorf("a torn document: %v", err)
		}
		if _, err := s.Document(t.Context(), docs, "none'; DROP TABLE pm.document", &out); uerr.KindOf(err) != uerr.NotFound || uerr.HintOf(err) == "" {
			t.Errorf("no document: %v", err)
		}
		rows := func(table extract.Table) (string, int64, error) {
			var out bytes.Buffer
			table.Database = database
			n, err := s.Rows(t.Context(), table, &out)
			return out.String(), n, err
		}
		text, n, err := rows(extract.Table{Name: "account", Where: "id <= 3", Format: extract.CSV})
		if err != nil || n != 3 || strings.Count(text, "\n") != 4 || !strings.HasPrefix(text, "id,balance,note\n1,1000,") {
			t.Errorf("csv: %q, %d, %v", text, n, err)
		}
		text, n, err = rows(extract.Table{Name: "pm.Odd name", Format: extract.SQL})
		if want := "COPY \"pm\".\"Odd name\" (id, note) FROM stdin;\n1\ta,\"b\"\\nc\\\\d\n2\t\\N\n\\.\n"; err != nil || n != 2 || text != want {
			t.Errorf("sql: %q, %d, %v", text, n, err)
		}
		for name, test := range map[string]struct {
			table extract.Table
			kind  uerr.Kind
		}{
			"no table":      {extract.Table{Name: "pm.nothing", Format: extract.CSV}, uerr.NotFound},
			"a view":        {extract.Table{Name: "pm.trap", Format: extract.CSV}, uerr.NotFound},
			"a condition":   {extract.Table{Name: "account", Where: "nonsense = 'geheim'", Format: extract.CSV}, uerr.Usage},
			"two sentences": {extract.Table{Name: "account", Where: "true); DROP TABLE account; --", Format: extract.CSV}, uerr.Usage},
			"writing":       {extract.Table{Name: "account", Where: "nextval('session_note_id_seq') > 0", Format: extract.CSV}, uerr.Usage},
		} {
			_, _, err := rows(test.table)
			if uerr.KindOf(err) != test.kind && !(name == "writing" && err != nil) || uerr.HintOf(err) == "" || strings.Contains(err.Error(), "geheim") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("%v was left, %v", left, err)
		}
	})
}

// TestO5_AScratchDatabaseGoesAlsoAfterAFailure: nothing of the patients' data stays behind.
func TestO5_AScratchDatabaseGoesAlsoAfterAFailure(t *testing.T) {
	c := testenv.PG(t, 15, testenv.Bootstrapped)
	fill(t, connect(t, c), 100)
	st, _ := dirStore(t)
	g := newRig(t, st)
	g.run(source(c))
	dir := filepath.Dir(restoreFolder(t, c))
	wrong := c.Bin
	wrong.Dir = t.TempDir()
	s, err := extract.Open(t.Context(), g.holder(), "latest", extract.Options{Dir: dir, Account: c.RunAs, Own: own(c), Now: time.Now,
		Binaries: func(context.Context, int) (pgcluster.Binaries, error) { return wrong, nil }}, progress.None)
	if err == nil {
		t.Error("it started without programs")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v was left, %v", left, err)
	}
}
