package backup_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"practicectl/backup"
	"practicectl/backup/stream"
	"practicectl/backup/wal"
	"practicectl/internal/objstore"
	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
)

// streaming is a stream that runs in the background of a test.
type streaming struct {
	t      *testing.T
	dir    string
	cancel context.CancelFunc
	done   chan error
	ended  bool
}

func (g *rig) streamOptions(c *pgcluster.Cluster, dir string) backup.StreamOptions {
	return backup.StreamOptions{ConnString: c.ConnString(pgcluster.RoleBackup, database), Dir: dir, Now: time.Now, Warn: g.t.(*testing.T).Logf}
}

// stream begins to stream; it ends with the test.
func (g *rig) stream(c *pgcluster.Cluster, dir string, change ...func(*backup.StreamOptions)) *streaming {
	g.t.Helper()
	o := g.streamOptions(c, dir)
	for _, fn := range change {
		fn(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &streaming{t: g.t.(*testing.T), dir: dir, cancel: cancel, done: make(chan error, 1)}
	r := g.host()
	go func() { s.done <- backup.Stream(ctx, r, g.recipients, o) }()
	g.t.Cleanup(func() { s.stop() })
	return s
}

// stop ends it as SIGTERM does.
func (s *streaming) stop() error {
	if s.ended {
		return nil
	}
	s.ended = true
	s.cancel()
	return <-s.done
}

func (s *streaming) state() stream.State {
	st, _ := stream.Read(s.dir) // none yet: nothing is stored
	return st
}

// reaches waits until everything before lsn is in the store.
func (s *streaming) reaches(lsn pgcluster.LSN) stream.State {
	s.t.Helper()
	return s.until("store the log up to "+lsn.String(), func(st stream.State) bool { return st.Stored >= lsn })
}

func (s *streaming) until(what string, good func(stream.State) bool) stream.State {
	s.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		st := s.state()
		if good(st) {
			return st
		}
		select {
		case err := <-s.done:
			s.ended = true
			s.t.Fatalf("%s: the stream ended: %v", what, err)
		default:
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s: not within two minutes: %+v", what, st)
		}
	}
}

func scalar[T any](t testing.TB, conn *pgx.Conn, sql string, args ...any) (v T) {
	t.Helper()
	if err := conn.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// flushed is the end of the log on the server's disk.
func flushed(t testing.TB, conn *pgx.Conn) pgcluster.LSN {
	t.Helper()
	at, err := pgcluster.ParseLSN(scalar[string](t, conn, `SELECT pg_current_wal_flush_lsn()::text`))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// burst writes about so many MiB of log.
func burst(t testing.TB, conn *pgx.Conn, mib int) {
	t.Helper()
	execSQL(t, conn, `CREATE TABLE IF NOT EXISTS burst (body text)`)
	execSQL(t, conn, `ALTER TABLE burst ALTER body SET STORAGE plain`)
	for range mib {
		execSQL(t, conn, `INSERT INTO burst SELECT repeat(md5(random()::text), 30) FROM generate_series(1, 1000)`)
	}
}

// sameLog compares what the store has of the log from a position on with the files of the cluster.
func (g *rig) sameLog(c *pgcluster.Cluster, timeline uint32, from, to pgcluster.LSN) {
	g.t.Helper()
	r := g.holder()
	cat, err := wal.Look(g.t.Context(), r.Store)
	if err != nil {
		g.t.Fatal(err)
	}
	control, err := pgcluster.ReadControl(c.Data)
	if err != nil {
		g.t.Fatal(err)
	}
	picked, reached := cat.Cover(control.SystemID, timeline, from, to)
	if reached < to {
		g.t.Fatalf("the store has the log up to %s, want %s", reached, to)
	}
	for _, f := range picked {
		data, err := wal.ReadFound(g.t.Context(), r, f)
		if err != nil {
			g.t.Fatal(err)
		}
		file, err := os.ReadFile(filepath.Join(c.Data, "pg_wal", pgcluster.WALName(timeline, f.Start, control.WALSegmentSize)))
		if err != nil {
			g.t.Fatal(err)
		}
		at := int(f.Start % pgcluster.LSN(control.WALSegmentSize))
		if !bytes.Equal(data, file[at:at+len(data)]) {
			g.t.Errorf("%s differs from the cluster's file", f.Key)
		}
	}
}

func keys(t testing.TB, st objstore.Store, prefix string) (out []string) {
	t.Helper()
	for info, err := range st.List(context.Background(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, info.Key)
	}
	return out
}

// TestT27_TheLogIsStoredWhileItIsWritten compares the stored log with PostgreSQL's own files, in pieces and in whole units.
func TestT27_TheLogIsStoredWhileItIsWritten(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		c := testenv.PG(t, major, testenv.Bootstrapped, testenv.Param("wal_keep_size", "1GB"))
		conn := connect(t, c)
		st, _ := dirStore(t)
		g := newRig(t, st)
		s := g.stream(c, t.TempDir())
		first := s.until("begin", func(st stream.State) bool { return st.Stored > 0 })
		burst(t, conn, 40)
		end := flushed(t, conn)
		got := s.reaches(end)
		if got.Problem != "" || len(got.Gaps) != 0 || got.Spool.Files != 0 {
			t.Errorf("%+v", got)
		}
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		g.sameLog(c, 1, first.Stored, end)
		// The units that are complete lie in one object each, and what begins in their middle is gone.
		var whole int
		for _, key := range keys(t, st, "w/") {
			p, _, ok := wal.ParseKey(key)
			switch first := p.Start%wal.Unit == 0; {
			case !ok:
				t.Errorf("%s is no name of log", key)
			case first && p.End-p.Start == wal.Unit:
				whole++
			case !first && p.End < end-end%wal.Unit:
				t.Errorf("%s was left although its unit is complete", key)
			}
		}
		if whole < 2 {
			t.Errorf("%d whole units", whole)
		}
	})
}

// TestT27_AStreamWithNothingToDoEndsAtOnce: an idle database makes no object.
func TestT27_AStreamWithNothingToDoEndsAtOnce(t *testing.T) {
	c := testenv.PG(t, 18, testenv.Bootstrapped)
	conn := connect(t, c)
	st, _ := dirStore(t)
	g := newRig(t, st)
	dir := t.TempDir()
	once := func() {
		o := g.streamOptions(c, dir)
		o.Once = true
		if err := backup.Stream(t.Context(), g.host(), nil, o); err != nil {
			t.Fatal(err)
		}
	}
	for quiet := false; !quiet; { // PostgreSQL itself may write something at any time
		end := flushed(t, conn)
		once()
		before := strings.Join(keys(t, st, ""), "\n")
		once()
		after := strings.Join(keys(t, st, ""), "\n")
		if quiet = flushed(t, conn) == end; quiet && after != before {
			t.Errorf("nothing happened and the store has\n%s\nin place of\n%s", after, before)
		}
	}
	for i := range 3 {
		execSQL(t, conn, fmt.Sprintf(`CREATE TABLE t%d (id int)`, i))
		end := flushed(t, conn)
		once()
		if got, err := stream.Read(dir); err != nil || got.Stored < end {
			t.Errorf("stored up to %s of %s, %v", got.Stored, end, err)
		}
	}
	g.sameLog(c, 1, 0x1000000, flushed(t, conn))
}
