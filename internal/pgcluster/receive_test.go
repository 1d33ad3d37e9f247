package pgcluster_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// received collects pieces by segment file and checks that they follow each other.
type received struct {
	t        *testing.T
	segments map[string][]byte
	end      pgcluster.LSN
	lasts    int
}

func (r *received) sink(_ context.Context, p pgcluster.WALPiece) error {
	if r.end != 0 && p.Start != r.end {
		r.t.Errorf("piece at %s follows %s", p.Start, r.end)
	}
	if int(p.Offset) != len(r.segments[p.Segment]) {
		r.t.Errorf("%s: piece at offset %d, have %d bytes", p.Segment, p.Offset, len(r.segments[p.Segment]))
	}
	r.segments[p.Segment] = append(r.segments[p.Segment], p.Data...)
	r.end = p.End()
	if p.Last {
		r.lasts++
	}
	return nil
}

func (r *received) equalsFiles(c *pgcluster.Cluster) {
	for name, got := range r.segments {
		file, err := os.ReadFile(filepath.Join(c.Data, "pg_wal", name))
		if err != nil {
			r.t.Error(err)
			continue
		}
		if len(got) > len(file) || !bytes.Equal(got, file[:len(got)]) {
			r.t.Errorf("%s: the %d received bytes differ from the file", name, len(got))
		}
	}
}

func TestReceivedLogEqualsTheFilesUnderWriteLoad(t *testing.T) {
	for _, major := range testenv.PGMajors {
		for _, temporary := range []bool{true, false} {
			t.Run(strconv.Itoa(major)+"/temporary="+strconv.FormatBool(temporary), func(t *testing.T) {
				c := testenv.PG(t, major, testenv.Bootstrapped, testenv.Param("wal_keep_size", "1GB"))
				conn := connect(t, c, pgcluster.Superuser, "practice")
				execSQL(t, conn, "CREATE TABLE load (id serial, body text)")
				got := received{t: t, segments: map[string][]byte{}}
				var until atomic.Uint64
				started, done := make(chan pgcluster.ReceiveStart, 1), make(chan error, 1)
				go func() {
					done <- pgcluster.ReceiveWAL(t.Context(), c.ConnString(pgcluster.RoleBackup, "practice"), pgcluster.ReceiveOptions{
						Slot: "backup_main", Temporary: temporary, Until: func() pgcluster.LSN { return pgcluster.LSN(until.Load()) },
						Started: func(s pgcluster.ReceiveStart) { started <- s },
					}, got.sink)
				}()
				s := <-started
				for range 4 {
					execSQL(t, conn, "INSERT INTO load (body) SELECT repeat(md5(g::text), 60) FROM generate_series(1, 6000) g")
				}
				end, err := pgcluster.ParseLSN(scalar[string](t, conn, "SELECT pg_current_wal_flush_lsn()::text"))
				if err != nil {
					t.Fatal(err)
				}
				until.Store(uint64(end))
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if got.end < end || len(got.segments) < 3 || got.lasts < 2 {
					t.Errorf("received up to %s of %s in %d segments, %d complete", got.end, end, len(got.segments), got.lasts)
				}
				if _, ok := got.segments[pgcluster.WALName(s.Timeline, s.Start, s.SegmentSize)]; !ok {
					t.Errorf("the first segment is missing: %+v", s)
				}
				got.equalsFiles(c)
				left := scalar[int](t, conn, "SELECT count(*) FROM pg_replication_slots")
				if want := map[bool]int{true: 0, false: 1}[temporary]; left != want {
					t.Errorf("%d slots are left, want %d", left, want)
				}
				if !temporary {
					resume(t, c, got, end)
				}
			})
		}
	}
}

// resume receives again over the slot that stayed: it begins where the last report let it go, in the same segment.
func resume(t *testing.T, c *pgcluster.Cluster, before received, end pgcluster.LSN) {
	again := received{t: t, segments: map[string][]byte{}}
	dsn := c.ConnString(pgcluster.RoleBackup, "practice")
	var start pgcluster.LSN
	err := pgcluster.ReceiveWAL(t.Context(), dsn, pgcluster.ReceiveOptions{Slot: "backup_main",
		Until: func() pgcluster.LSN { return end }, Started: func(s pgcluster.ReceiveStart) { start = s.Start }}, again.sink)
	if err != nil {
		t.Fatal(err)
	}
	if start < before.end-16<<20 || again.end < end {
		t.Errorf("resumed at %s after %s, got to %s", start, before.end, again.end)
	}
	again.equalsFiles(c)
	for range 2 { // the second time there is nothing to drop
		if err := pgcluster.DropSlot(t.Context(), dsn, "backup_main"); err != nil {
			t.Error(err)
		}
	}
}

func TestReceiverStopsForTheSinkTheContextAndTheServer(t *testing.T) {
	c := testenv.PG(t, 18, testenv.Bootstrapped)
	dsn := c.ConnString(pgcluster.RoleBackup, "practice")
	full := errors.New("disk full")
	if err := pgcluster.ReceiveWAL(t.Context(), dsn, pgcluster.ReceiveOptions{},
		func(context.Context, pgcluster.WALPiece) error { return full }); !errors.Is(err, full) {
		t.Errorf("sink's error: got %v", err)
	}
	nothing := func(context.Context, pgcluster.WALPiece) error { return nil }
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := pgcluster.ReceiveWAL(ctx, dsn, pgcluster.ReceiveOptions{}, nothing); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("context: got %v", err)
	}
	started, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- pgcluster.ReceiveWAL(t.Context(), dsn, pgcluster.ReceiveOptions{Started: func(pgcluster.ReceiveStart) { close(started) }}, nothing)
	}()
	<-started
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; uerr.KindOf(err) != uerr.Unreachable {
		t.Errorf("server stopped: got %v", err)
	}
	if err := pgcluster.ReceiveWAL(t.Context(), dsn, pgcluster.ReceiveOptions{}, nothing); uerr.KindOf(err) != uerr.Unreachable || uerr.HintOf(err) == "" {
		t.Errorf("server down: got %v", err)
	}
}

func TestASlowSinkKeepsTheStreamAlive(t *testing.T) {
	c := testenv.PG(t, 15, testenv.Bootstrapped, testenv.Param("wal_sender_timeout", "2s"))
	dsn := c.ConnString(pgcluster.RoleBackup, "practice")
	sys, err := pgcluster.IdentifySystem(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	err = pgcluster.ReceiveWAL(t.Context(), dsn, pgcluster.ReceiveOptions{Until: func() pgcluster.LSN { return sys.Flushed }},
		func(context.Context, pgcluster.WALPiece) error {
			if calls++; calls == 1 {
				time.Sleep(5 * time.Second)
			}
			return nil
		})
	if err != nil {
		t.Error(err)
	}
}

func TestReceiverRefusals(t *testing.T) {
	for _, major := range testenv.PGMajors {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			c := testenv.PG(t, major, testenv.Bootstrapped)
			dsn := c.ConnString(pgcluster.RoleBackup, "practice")
			conn := connect(t, c, pgcluster.Superuser, "practice")
			first, err := pgcluster.ParseLSN(scalar[string](t, conn, "SELECT pg_current_wal_lsn()::text"))
			if err != nil {
				t.Fatal(err)
			}
			for range 3 { // recycles the segment that first is in
				execSQL(t, conn, "CREATE TABLE IF NOT EXISTS load (body text); INSERT INTO load SELECT repeat('x', 500) FROM generate_series(1, 30000)")
				execSQL(t, conn, "SELECT pg_switch_wal()")
				execSQL(t, conn, "CHECKPOINT")
			}
			held := make(chan struct{})
			ctx, release := context.WithCancel(t.Context())
			holder := make(chan error, 1)
			go func() {
				var once atomic.Bool
				holder <- pgcluster.ReceiveWAL(ctx, dsn, pgcluster.ReceiveOptions{Slot: "taken"}, func(context.Context, pgcluster.WALPiece) error {
					if once.CompareAndSwap(false, true) {
						close(held)
					}
					return nil
				})
			}()
			<-held
			for name, tc := range map[string]struct {
				dsn  string
				o    pgcluster.ReceiveOptions
				want uerr.Kind
			}{
				"log is gone":           {dsn, pgcluster.ReceiveOptions{Start: first}, uerr.WALGap},
				"slot is in use":        {dsn, pgcluster.ReceiveOptions{Slot: "taken"}, uerr.Locked},
				"slot name":             {dsn, pgcluster.ReceiveOptions{Slot: "x; DROP"}, uerr.Config},
				"ahead of the server":   {dsn, pgcluster.ReceiveOptions{Start: first + 1<<40}, uerr.Fenced},
				"unknown timeline":      {dsn, pgcluster.ReceiveOptions{Timeline: 7, Start: first}, uerr.Fenced},
				"role may not":          {c.ConnString(pgcluster.RoleServer, "practice"), pgcluster.ReceiveOptions{}, uerr.Auth},
				"bad connection string": {"host='", pgcluster.ReceiveOptions{}, uerr.Config},
			} {
				err := pgcluster.ReceiveWAL(t.Context(), tc.dsn, tc.o, func(context.Context, pgcluster.WALPiece) error { return nil })
				if uerr.KindOf(err) != tc.want {
					t.Errorf("%s: got %v (%v), want %v", name, err, uerr.KindOf(err), tc.want)
				}
			}
			release()
			if err := <-holder; !errors.Is(err, context.Canceled) {
				t.Errorf("holder: %v", err)
			}
		})
	}
}

func TestReceiverFollowsANewTimeline(t *testing.T) {
	for _, major := range testenv.PGMajors {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			c := testenv.PG(t, major, testenv.Bootstrapped)
			dsn := c.ConnString(pgcluster.RoleBackup, "practice")
			before, err := pgcluster.IdentifySystem(t.Context(), dsn)
			if err != nil || before.Timeline != 1 {
				t.Fatalf("%+v, %v", before, err)
			}
			if _, _, err := pgcluster.TimelineHistory(t.Context(), dsn, 1); uerr.KindOf(err) == uerr.Failed {
				t.Errorf("history of timeline 1: %v", err)
			}
			promote(t, c)
			after, err := pgcluster.IdentifySystem(t.Context(), dsn)
			if err != nil || after.Timeline != 2 || after.ID != before.ID {
				t.Fatalf("after the promotion: %+v, %v", after, err)
			}
			name, content, err := pgcluster.TimelineHistory(t.Context(), dsn, 2)
			if err != nil || name != "00000002.history" {
				t.Fatalf("%q, %v", name, err)
			}
			file, err := os.ReadFile(filepath.Join(c.Data, "pg_wal", name))
			if err != nil || !bytes.Equal(file, content) {
				t.Errorf("history differs from the file: %q, %q, %v", content, file, err)
			}
			entries, err := pgcluster.ParseHistory(string(content))
			if err != nil || len(entries) != 1 || entries[0].Timeline != 1 || entries[0].End < before.Flushed {
				t.Errorf("history %+v, %v", entries, err)
			}
			var timelines []uint32
			err = pgcluster.ReceiveWAL(t.Context(), dsn, pgcluster.ReceiveOptions{Timeline: 1, Start: before.Flushed,
				Until: func() pgcluster.LSN {
					if len(timelines) < 2 {
						return 0
					}
					return after.Flushed
				}}, func(_ context.Context, p pgcluster.WALPiece) error {
				if n := len(timelines); n == 0 || timelines[n-1] != p.Timeline {
					timelines = append(timelines, p.Timeline)
				}
				return nil
			})
			if err != nil || len(timelines) != 2 {
				t.Errorf("timelines %v, %v", timelines, err)
			}
		})
	}
}
