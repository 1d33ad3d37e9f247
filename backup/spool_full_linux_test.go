package backup_test

import (
	"context"
	"io"
	"sync/atomic"
	"testing"

	"practicectl/backup"
	"practicectl/backup/stream"
	"practicectl/internal/objstore"
	"practicectl/internal/testenv"
)

// away is a store that cannot be reached while it is set.
type away struct {
	objstore.Store
	gone atomic.Bool
}

func (a *away) Put(ctx context.Context, key string, r io.Reader, size int64, o objstore.PutOptions) (objstore.Info, error) {
	if a.gone.Load() {
		return objstore.Info{}, errLost
	}
	return a.Store.Put(ctx, key, r, size, o)
}

// TestT27_AFullDiskUnderTheSpoolStopsNoDatabase lets the disk of the spool fill up while the store is away: the database goes on, what
// is lost is said, and the next snapshot makes it good.
func TestT27_AFullDiskUnderTheSpoolStopsNoDatabase(t *testing.T) {
	if !testenv.OwnMounts(t) {
		return
	}
	c := testenv.PG(t, 18, testenv.Bootstrapped)
	conn := connect(t, c)
	st, _ := dirStore(t)
	line := &away{Store: st}
	g := newRig(t, line)
	g.run(source(c))
	dir := testenv.SmallDisk(t, t.TempDir(), "1m")
	s := g.stream(c, dir, func(o *backup.StreamOptions) { o.Spool, o.After = 1<<30, soon }) // more than the disk has
	s.until("begin", func(st stream.State) bool { return st.Stored > 0 })
	line.gone.Store(true)
	for range 12 { // each must return: PostgreSQL is never made to wait
		burst(t, conn, 10)
	}
	s.until("say that log is lost", func(st stream.State) bool { return st.Dropping && st.Problem != "" })
	line.gone.Store(false)
	// When the server held it all back meanwhile, nothing is missing; else there is a gap, which the next snapshot makes good.
	got := s.until("go on", func(st stream.State) bool { return st.Stored >= flushed(t, conn) && !st.Dropping })
	for _, gap := range got.Gaps {
		if gap.To <= gap.From {
			t.Errorf("a gap from %s to %s", gap.From, gap.To)
		}
	}
	rep := g.run(source(c))
	if err := stream.NoteSnapshot(dir, rep.Snapshot); err != nil {
		t.Fatal(err)
	}
	execSQL(t, conn, `CREATE TABLE danach AS SELECT 7 AS n`)
	s.reaches(flushed(t, conn))
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	g.verifyAll()
	_, copied := g.restorePoint(c, rep.Snapshot.ID, backup.Point{Latest: true})
	if n := scalar[int](t, copied, `SELECT n FROM danach`); n != 7 {
		t.Errorf("%d", n)
	}
}
