package backup_test

import (
	"fmt"
	"testing"
	"time"

	"practicectl/backup"
	"practicectl/backup/stream"
	"practicectl/internal/objstore"
	"practicectl/internal/testenv"
)

// soon is a clock for which every pause is short: what failed is tried again at once.
func soon(time.Duration) <-chan time.Time { return time.After(time.Millisecond) }

// streamOnce stores what the server has now through st and tells whether all of it arrived.
func (g *rig) streamOnce(o backup.StreamOptions, st objstore.Store) error {
	g.t.Helper()
	r, err := backup.Open(g.t.Context(), st, g.keys)
	if err != nil {
		return err
	}
	o.Once, o.After, o.Piece = true, soon, 64<<10
	return backup.Stream(g.t.Context(), r, nil, o)
}

// TestT27_O6_EveryRequestAndChangeOfAStreamMayFail lets each request to the store, and each change of the disk that keeps the state and
// the spool, fail while log is stored, one after the other. No byte of the log is lost, and nothing has to be repaired.
func TestT27_O6_EveryRequestAndChangeOfAStreamMayFail(t *testing.T) {
	c := testenv.PG(t, 18, testenv.Bootstrapped, testenv.Param("wal_keep_size", "1GB"))
	conn := connect(t, c)
	st, _ := dirStore(t)
	g := newRig(t, st)
	disk := testenv.NewFaultDisk(t)
	o := g.streamOptions(c, disk.Dir)
	execSQL(t, conn, `CREATE TABLE line (n int, filler text)`)
	if err := g.streamOnce(o, st); err != nil {
		t.Fatal(err)
	}
	began, err := stream.Read(disk.Dir)
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	more := func() {
		rows++
		execSQL(t, conn, `INSERT INTO line SELECT $1, repeat(md5(i::text), 20) FROM generate_series(1, 150) i`, rows)
	}
	settle := func(what string) {
		t.Helper()
		if err := g.streamOnce(o, st); err != nil {
			t.Fatalf("after %s: %v", what, err)
		}
		if got, err := stream.Read(disk.Dir); err != nil || len(got.Gaps) != 0 {
			t.Fatalf("after %s: %v, gaps %v", what, err, got.Gaps)
		}
	}
	for _, late := range []bool{false, true} {
		failed := 0
		for n := int64(1); ; n++ {
			more()
			f := &flaky{Store: st, nth: n, late: late}
			err := g.streamOnce(o, f)
			if !f.failed.Load() {
				if err != nil {
					t.Fatalf("nothing failed and the stream did: %v", err)
				}
				break
			}
			failed++
			settle(fmt.Sprintf("request %d, late %v (%v)", n, late, err))
		}
		if failed < 5 {
			t.Errorf("only %d requests", failed)
		}
	}
	everyChange(t, disk, func() error {
		more()
		return g.streamOnce(o, st)
	}, func(what string, _ error) { settle(what) })
	more()
	end := flushed(t, conn) // the server may write something more at any time
	settle("all that")
	g.sameLog(c, 1, began.Stored, end)
}
