package backup_test

import (
	"context"
	"path/filepath"
	"testing"

	"practicectl/backup"
	"practicectl/backup/proof"
	"practicectl/internal/testenv"
)

// TestO5_APracticeThatGoesOnFromAnOlderSnapshotIsBackedUp: the original wrote log after the snapshot and stored it. The
// restored practice writes other log at the same positions, and its snapshots go into the same repository.
func TestO5_APracticeThatGoesOnFromAnOlderSnapshotIsBackedUp(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		c := testenv.PG(t, major, testenv.Bootstrapped)
		conn := connect(t, c)
		fill(t, conn, 300)
		st, _ := dirStore(t)
		g := newRig(t, st)
		older := g.run(source(c))
		for range 2 {
			execSQL(t, conn, `UPDATE account SET note = 'verloren' WHERE id % 10 = 0`)
			g.run(source(c))
		}
		target := restoreFolder(t, c)
		g.restore(older.Snapshot.ID, target, backup.RestoreOptions{Own: own(c), Prove: func(ctx context.Context, dir string) error {
			return proof.Start(ctx, proof.Options{Bin: c.Bin, Account: c.RunAs, Data: filepath.Join(dir, "pg")})
		}})
		copied := startCopy(t, c, filepath.Join(target, "pg"))
		goesOn := connect(t, copied)
		for range 4 {
			execSQL(t, goesOn, `UPDATE account SET note = 'weiter' WHERE id % 7 = 0`)
			g.run(source(copied))
		}
		want := dump(t, goesOn)
		again := restoreFolder(t, c)
		g.restore("latest", again, backup.RestoreOptions{Own: own(c)})
		sameRows(t, want, dump(t, connect(t, startCopy(t, c, filepath.Join(again, "pg")))))
		g.verifyAll()
		// A second copy of the older snapshot takes a timeline that the first has not taken.
		third := restoreFolder(t, c)
		g.restore(older.Snapshot.ID, third, backup.RestoreOptions{Own: own(c)})
		var timeline string
		err := connect(t, startCopy(t, c, filepath.Join(third, "pg"))).QueryRow(t.Context(), `SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)`).Scan(&timeline)
		if err != nil || timeline != "00000003" {
			t.Errorf("timeline %q, %v", timeline, err)
		}
	})
}
