package backup_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"practicectl/backup"
	"practicectl/backup/repo"
	"practicectl/backup/stream"
	"practicectl/backup/wal"
	"practicectl/internal/objstore"
	"practicectl/internal/objstore/storetest"
	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// released is what PostgreSQL was told that it may forget: up to there the slot holds nothing any more.
func released(t testing.TB, conn *pgx.Conn) pgcluster.LSN {
	t.Helper()
	text := scalar[string](t, conn, `SELECT coalesce(max(restart_lsn)::text, '0/0') FROM pg_replication_slots WHERE slot_name LIKE 'practice_stream%'`)
	at, err := pgcluster.ParseLSN(text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestT27_AKilledStreamLosesNothing kills the process again and again while the database is written to. What PostgreSQL was told
// is safe is in the store or in the spool, and in the end everything is.
func TestT27_AKilledStreamLosesNothing(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 3))
	c := testenv.PG(t, 18, testenv.Bootstrapped)
	conn := connect(t, c)
	st, folder := dirStore(t)
	g := newRig(t, st)
	dir := t.TempDir()
	j := keepJournal(t, c, 2, seed)
	j.reach(5)
	snapshot := g.run(source(c))
	start, err := pgcluster.ParseLSN(snapshot.Snapshot.Database.Stop)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(job{Store: folder, Cred: g.cred, Recipients: g.recipients, Source: source(c), Stream: dir})
	if err != nil {
		t.Fatal(err)
	}
	last := pgcluster.LSN(0)
	for round := range 12 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childJob+"="+string(text))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		want := last + pgcluster.LSN(rng.IntN(600<<10))
		for end := time.Now().Add(time.Minute); ; time.Sleep(time.Duration(1+rng.IntN(20)) * time.Millisecond) {
			state, _ := stream.Read(dir)
			if state.Stored > max(want, start) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("round %d: the stream does not come to %s: %+v", round, want, state)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		safe := released(t, conn)
		cat, err := wal.Look(t.Context(), st)
		if err != nil {
			t.Fatal(err)
		}
		if last = cat.End(snapshot.Snapshot.Database.System, 1, start); last < safe {
			t.Fatalf("round %d: PostgreSQL was told that everything before %s is safe, and the store has it up to %s", round, safe, last)
		}
	}
	j.end()
	o := g.streamOptions(c, dir)
	for o.Once = true; ; { // the server may not have noticed yet that the last one is dead
		err := backup.Stream(t.Context(), g.host(), nil, o)
		if err == nil {
			break
		}
		if uerr.KindOf(err) != uerr.Locked {
			t.Fatal(err)
		}
	}
	if state, err := stream.Read(dir); err != nil || len(state.Gaps) != 0 {
		t.Errorf("%+v, %v", state, err)
	}
	_, copied := g.restorePoint(c, "latest", backup.Point{Latest: true})
	yes := func(entry) bool { return true }
	j.check(copied, yes, yes)
}

// TestT27_TheStoreMayBeAway: the database goes on, its log waits sealed in the spool, and goes to the store in order.
func TestT27_TheStoreMayBeAway(t *testing.T) {
	c := testenv.PG(t, 18, testenv.Bootstrapped)
	conn := connect(t, c)
	real, _ := dirStore(t)
	faulty := storetest.NewFaulty(real)
	g := newRig(t, faulty)
	first := g.run(source(c))
	dir := t.TempDir()
	s := g.stream(c, dir, func(o *backup.StreamOptions) { o.Memory = 4 << 20 })
	s.until("begin", func(st stream.State) bool { return st.Stored > 0 })
	faulty.Add(storetest.Rule{Err: objstore.ErrUnreachable})
	execSQL(t, conn, `CREATE TABLE secret AS SELECT 'Kanarienvogel' AS name`)
	burst(t, conn, 40)
	s.until("spool", func(st stream.State) bool { return st.Spool.Files > 0 && st.Problem != "" })
	mid := s.state()
	for end := time.Now().Add(time.Minute); released(t, conn) <= mid.Stored; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("PostgreSQL keeps what lies in the spool")
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "spool", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if data, err := os.ReadFile(f); err != nil || string(data[:21]) != "age-encryption.org/v1" {
			t.Errorf("%s is not sealed: %v", f, err)
		}
	}
	// A stream that dies meanwhile leaves the spool to the next one.
	_ = s.stop()
	faulty.Clear()
	s = g.stream(c, dir)
	end := flushed(t, conn)
	got := s.reaches(end)
	if err := s.stop(); err != nil || len(got.Gaps) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	if left, _ := stream.Read(dir); left.Spool.Files != 0 {
		t.Errorf("left in the spool: %+v", left.Spool)
	}
	cat, err := wal.Look(t.Context(), real)
	if err != nil {
		t.Fatal(err)
	}
	from, _ := pgcluster.ParseLSN(first.Snapshot.Database.Stop)
	if reached := cat.End(first.Snapshot.Database.System, 1, from); reached < end {
		t.Errorf("the store has the log up to %s of %s", reached, end)
	}
}

// TestT27_AFullSpoolIsAGapThatASnapshotCloses: PostgreSQL never waits and its log does not pile up, and nobody is left in the
// dark about it.
func TestT27_AFullSpoolIsAGapThatASnapshotCloses(t *testing.T) {
	c := testenv.PG(t, 15, testenv.Bootstrapped)
	conn := connect(t, c)
	real, _ := dirStore(t)
	faulty := storetest.NewFaulty(real)
	g := newRig(t, faulty)
	g.run(source(c))
	dir := t.TempDir()
	s := g.stream(c, dir, func(o *backup.StreamOptions) { o.Memory, o.Spool = 1<<20, 1<<20 })
	s.until("begin", func(st stream.State) bool { return st.Stored > 0 })
	faulty.Add(storetest.Rule{Err: objstore.ErrUnreachable})
	burst(t, conn, 60)
	s.until("give up", func(st stream.State) bool { return st.Dropping && len(st.Gaps) == 1 })
	written := flushed(t, conn)
	for end := time.Now().Add(time.Minute); released(t, conn) < written; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the slot holds the log from %s of %s on: it piles up", released(t, conn), written)
		}
	}
	if err := s.state().Alarm(dir); uerr.KindOf(err) != uerr.WALGap || uerr.HintOf(err) == "" {
		t.Errorf("no alarm: %v", err)
	}
	faulty.Clear()
	st := s.until("go on", func(st stream.State) bool { return !st.Dropping && st.Gaps[0].To != 0 })
	burst(t, conn, 2)
	s.reaches(flushed(t, conn))
	if records := keys(t, real, repo.GapPrefix); len(records) != 1 || len(st.Gaps) != 1 {
		t.Errorf("records of gaps %v, in the state %v", records, st.Gaps)
	}
	if err := s.state().Alarm(dir); uerr.KindOf(err) != uerr.WALGap {
		t.Errorf("the alarm went by itself: %v", err)
	}
	rep := g.run(source(c))
	if err := stream.NoteSnapshot(dir, rep.Snapshot); err != nil {
		t.Fatal(err)
	}
	if err := s.state().Alarm(dir); err != nil {
		t.Errorf("the snapshot did not close the gap: %v", err)
	}
	execSQL(t, conn, `CREATE TABLE behind (id int)`)
	s.reaches(flushed(t, conn))
	if err := s.stop(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	if _, err := backup.PlanRestore(t.Context(), g.holder(), backup.Target{Snapshot: "latest", Point: &backup.Point{LSN: st.Gaps[0].From + 100}}); uerr.KindOf(err) != uerr.WALGap {
		t.Errorf("a moment in the gap: %v", err)
	}
	_, copied := g.restorePoint(c, "latest", backup.Point{Latest: true})
	if !scalar[bool](t, copied, `SELECT to_regclass('behind') IS NOT NULL`) {
		t.Error("what came after the gap is missing")
	}
}

// TestT27_EveryRequestOfAStreamMayFail lets each request to the store fail once, before or after it took effect.
func TestT27_EveryRequestOfAStreamMayFail(t *testing.T) {
	c := testenv.PG(t, 18, testenv.Bootstrapped)
	conn := connect(t, c)
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("answer lost %v", late), func(t *testing.T) {
			real, _ := dirStore(t)
			g := newRig(t, real)
			rep := g.run(source(c))
			dir := t.TempDir()
			failed := 0
			for n := int64(1); n < 40; n++ {
				execSQL(t, conn, `SELECT pg_logical_emit_message(true, 'probe', repeat('x', 3000))`)
				end := flushed(t, conn)
				f := &flaky{Store: real, nth: n, late: late}
				r := g.host()
				r.Store = f
				o := g.streamOptions(c, dir)
				o.Once = true
				err := backup.Stream(t.Context(), r, nil, o)
				if !f.failed.Load() {
					if err != nil {
						t.Fatal(err)
					}
					break
				}
				failed++
				if err != nil && (uerr.KindOf(err) != uerr.Unreachable || uerr.HintOf(err) == "") {
					t.Errorf("request %d: %v", n, err)
				}
				if err := backup.Stream(t.Context(), g.host(), nil, o); err != nil {
					t.Fatalf("after request %d: %v", n, err)
				}
				from, _ := pgcluster.ParseLSN(rep.Snapshot.Database.Stop)
				cat, err := wal.Look(t.Context(), real)
				if err != nil {
					t.Fatal(err)
				}
				if reached := cat.End(rep.Snapshot.Database.System, 1, from); reached < end {
					t.Fatalf("after request %d the store has the log up to %s of %s", n, reached, end)
				}
			}
			if failed < 2 {
				t.Errorf("only %d requests", failed)
			}
		})
	}
}

// promote restarts the cluster as a standby of itself and promotes it, which begins a new timeline.
func promote(t *testing.T, c *pgcluster.Cluster) *pgx.Conn {
	t.Helper()
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.Data, "standby.signal"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, c)
	execSQL(t, conn, `SELECT pg_promote(true, 30)`)
	for scalar[bool](t, conn, `SELECT pg_is_in_recovery()`) {
		time.Sleep(10 * time.Millisecond)
	}
	return conn
}

// TestM14_T27_ThePromotionIsFollowed streams on through a promotion, and restores across it from a snapshot before.
func TestM14_T27_ThePromotionIsFollowed(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		c := testenv.PG(t, major, testenv.Bootstrapped)
		conn := connect(t, c)
		st, _ := dirStore(t)
		g := newRig(t, st)
		g.run(source(c))
		s := g.stream(c, t.TempDir())
		execSQL(t, conn, `CREATE TABLE line (id int)`)
		execSQL(t, conn, `INSERT INTO line VALUES (1)`)
		s.reaches(flushed(t, conn))
		before := flushed(t, conn)
		conn = promote(t, c)
		execSQL(t, conn, `INSERT INTO line VALUES (2)`)
		end := flushed(t, conn)
		got := s.until("follow", func(st stream.State) bool { return st.Timeline == 2 && st.Stored >= end })
		if err := s.stop(); err != nil || len(got.Gaps) != 0 {
			t.Fatalf("%+v, %v", got, err)
		}
		plan, copied := g.restorePoint(c, "latest", backup.Point{Latest: true})
		if n := scalar[int](t, copied, `SELECT count(*) FROM line`); n != 2 || plan.Replay.Timeline != 2 {
			t.Errorf("%d lines on timeline %d", n, plan.Replay.Timeline)
		}
		_, copied = g.restorePoint(c, "latest", backup.Point{LSN: before})
		if n := scalar[int](t, copied, `SELECT count(*) FROM line`); n != 1 {
			t.Errorf("%d lines before the promotion", n)
		}
	})
}

// TestT27_ACloneIsNotTakenForTheOriginal: two clusters with one identity cannot both stream into a repository.
func TestT27_ACloneIsNotTakenForTheOriginal(t *testing.T) {
	original := testenv.PG(t, 18, testenv.Bootstrapped) // copies of one template: the same identity
	clone := testenv.PG(t, 18, testenv.Bootstrapped)
	st, _ := dirStore(t)
	g := newRig(t, st)
	once := func(c *pgcluster.Cluster, dir string) error {
		o := g.streamOptions(c, dir)
		o.Once = true
		return backup.Stream(t.Context(), g.host(), nil, o)
	}
	execSQL(t, connect(t, original), `CREATE TABLE ours AS SELECT g FROM generate_series(1, 2000) g`)
	if err := once(original, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	behind := t.TempDir()
	if err := once(clone, behind); uerr.KindOf(err) != uerr.Fenced || uerr.HintOf(err) == "" {
		t.Errorf("a clone with less log: %v", err)
	}
	execSQL(t, connect(t, clone), `CREATE TABLE theirs AS SELECT g, 'x' FROM generate_series(1, 9000) g`)
	if err := once(clone, t.TempDir()); uerr.KindOf(err) != uerr.Fenced || uerr.HintOf(err) == "" {
		t.Errorf("a clone with more log: %v", err)
	}
}

// TestT27_AtMostFiveSecondsAreAtRisk runs the stream by a clock of the test: what was written is cut within four seconds.
func TestT27_AtMostFiveSecondsAreAtRisk(t *testing.T) {
	c := testenv.PG(t, 18, testenv.Bootstrapped)
	conn := connect(t, c)
	st, _ := dirStore(t)
	g := newRig(t, st)
	var mu sync.Mutex
	now := time.Now()
	asked := make(chan time.Duration, 1000)
	tick := make(chan time.Time)
	g.stream(c, t.TempDir(), func(o *backup.StreamOptions) {
		o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
		o.After = func(d time.Duration) <-chan time.Time { asked <- d; return tick }
	})
	wait := <-asked // log came in, and nobody moves the clock
	if wait > 4*time.Second {
		t.Errorf("the oldest log waits %s", wait)
	}
	if early := keys(t, st, repo.WALPrefix); len(early) != 0 {
		t.Errorf("stored before its time: %v", early)
	}
	execSQL(t, conn, `SELECT pg_logical_emit_message(true, 'probe', 'x')`)
	mu.Lock()
	now = now.Add(wait)
	mu.Unlock()
	for stored := false; !stored; { // each wait for the clock ends at once
		select {
		case tick <- now:
		case <-asked:
		case <-time.After(5 * time.Millisecond):
			stored = len(keys(t, st, repo.WALPrefix)) > 0
		}
	}
}
