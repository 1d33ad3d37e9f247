package drill_test

import (
	"context"
	"testing"
	"time"

	"practicectl/backup"
	"practicectl/backup/drill"
	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
)

// stream brings the log into the store while work is done, and until everything that was written is there.
func (g *rig) stream(work func()) {
	g.t.Helper()
	t := g.t
	r, err := backup.Open(t.Context(), g.store, g.keys)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- backup.Stream(ctx, r, g.recipients, backup.StreamOptions{ConnString: g.cluster.ConnString(pgcluster.RoleBackup, pgcluster.DefaultDatabase), Dir: g.cache + "-log", Now: time.Now, Warn: func(string, ...any) {}})
	}()
	work()
	var end string
	if err := connect(t, g.cluster).QueryRow(t.Context(), `SELECT pg_current_wal_flush_lsn()::text FROM pg_switch_wal()`).Scan(&end); err != nil {
		t.Fatal(err)
	}
	want, err := pgcluster.ParseLSN(end)
	if err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(2 * time.Minute); !g.streamedTo(want); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("the log up to %s is not in the store", want)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func (g *rig) streamedTo(want pgcluster.LSN) bool {
	g.t.Helper()
	r, err := g.open(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	items, err := backup.List(g.t.Context(), r)
	if err != nil {
		g.t.Fatal(err)
	}
	windows, err := backup.Windows(g.t.Context(), r, items)
	if err != nil {
		g.t.Fatal(err)
	}
	return len(windows) > 0 && windows[len(windows)-1].To >= want
}

// TestO5_ADrillReplaysToAnySecondOfTheStreamedLog compares what a drill counted with what was committed by then.
func TestO5_ADrillReplaysToAnySecondOfTheStreamedLog(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		c := testenv.PG(t, major, testenv.Bootstrapped)
		conn := connect(t, c)
		fill(t, conn)
		g := newRig(t, c)
		var snapshot backup.Report
		g.stream(func() {
			snapshot = g.snapshot()
			for over := snapshot.Snapshot.Committed.Add(5 * time.Second); time.Now().Before(over); time.Sleep(50 * time.Millisecond) {
				execSQL(t, conn, `INSERT INTO public.journal (account, body) VALUES (1, 'nachher')`)
			}
		})
		counted := func(e *drill.Evidence) int64 { return *check(t, e, "entries").Value }
		committed := func(by time.Time) (n int64) {
			if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM public.journal WHERE pg_xact_commit_timestamp(xmin) IS NULL OR pg_xact_commit_timestamp(xmin) <= $1`, by).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		all := committed(time.Now().Add(time.Hour))
		seconds := 0
		for seed := range uint64(4) {
			e, err := g.drill(func(o *drill.Options) { o.Seed = seed + 1 })
			if err != nil {
				t.Fatal(err)
			}
			want := all
			if at, err := time.Parse(time.RFC3339, e.Point.Asked); err == nil {
				want = committed(at)
				seconds++
				if e.Point.Reached.After(at) || !at.After(snapshot.Snapshot.Committed) {
					t.Errorf("asked for %s after the snapshot of %s, reached %s", at, snapshot.Snapshot.Committed, e.Point.Reached)
				}
			} else if e.Point.Asked != "the end of the log" {
				t.Errorf("asked for %q", e.Point.Asked)
			}
			if got := counted(e); got != want {
				t.Errorf("to %s: %d entries, want %d of %d", e.Point.Asked, got, want, all)
			}
			if !e.Newest.After(snapshot.Snapshot.Created) || !e.RPO.Met() {
				t.Errorf("newest %s, RPO %+v", e.Newest, e.RPO)
			}
		}
		if seconds == 0 {
			t.Error("no drill went to a second in the middle")
		}
		e, err := g.drill(func(o *drill.Options) { o.To = "latest" })
		if err != nil || counted(e) != all || e.Point.Asked != "the end of the log" {
			t.Errorf("%+v, %v", e, err)
		}
		e, err = g.drill(func(o *drill.Options) { o.To = "snapshot" })
		if err != nil || counted(e) >= all || e.Point.Asked != "the end of the snapshot" {
			t.Errorf("%+v, %v", e, err)
		}
	})
}
