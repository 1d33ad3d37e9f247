package backup_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"practicectl/backup"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
)

// verifyAll reads, opens and proves everything.
func (g *rig) verifyAll() backup.VerifyReport {
	g.t.Helper()
	rep, err := backup.Verify(g.t.Context(), g.holder(), backup.VerifyOptions{}, progress.None)
	if err != nil {
		g.t.Fatalf("%v: %v", err, rep.Problems)
	}
	return rep
}

func (g *rig) snapshots() int {
	g.t.Helper()
	all, err := backup.List(g.t.Context(), g.holder())
	if err != nil {
		g.t.Fatal(err)
	}
	return len(all)
}

// TestO6_KilledAtEveryStepTheNextRunFinishes kills a real process at every point of the commit order. What was committed
// before stays whole, nothing half-way counts, and the next run uses what is stored.
func TestO6_KilledAtEveryStepTheNextRunFinishes(t *testing.T) {
	c := testenv.PG(t, 15, testenv.Bootstrapped)
	conn := connect(t, c)
	fill(t, conn, 200)
	execSQL(t, conn, `CREATE TABLE noise (id int PRIMARY KEY, content bytea NOT NULL)`)
	execSQL(t, conn, `ALTER TABLE noise ALTER content SET STORAGE external`)
	st, folder := dirStore(t)
	g := newRig(t, st)
	g.packSize = smallPack
	etc := writeFiles(t, 4)
	g.run(source(c, etc))
	count := 1
	for i, point := range backup.Points {
		for _, nth := range []int{1, 2} {
			if nth == 2 && point != "pack stored" {
				continue
			}
			t.Run(fmt.Sprintf("%s %d", point, nth), func(t *testing.T) {
				g.t = t
				// 1 MiB that does not compress is more than one pack.
				execSQL(t, conn, `TRUNCATE noise`)
				execSQL(t, conn, `INSERT INTO noise SELECT i, (SELECT string_agg(gen_random_bytes(1024), '') FROM generate_series(1, 64 + 0 * i)) FROM generate_series(1, 16) i`)
				execSQL(t, conn, `CHECKPOINT`)
				if !killed(t, job{Store: folder, Cred: g.cred, Cache: g.cache, Recipients: g.recipients, Source: source(c, etc), Point: point, Nth: nth}) {
					t.Fatal("the point was not reached")
				}
				if point == "committed" {
					count++
				}
				if n := g.snapshots(); n != count {
					t.Errorf("%d snapshots after the crash, want %d", n, count)
				}
				if _, err := backup.Verify(t.Context(), g.holder(), backup.VerifyOptions{References: true}, progress.None); err != nil {
					t.Error(err)
				}
				rep := g.run(source(c, etc))
				count++
				stored := int64(0)
				switch {
				case i >= 4: // trees stored and later: all packs were there
					stored = 900 << 10
				case point == "pack stored" && nth == 2:
					stored = 200 << 10
				}
				if limit := int64(1400<<10) - stored; rep.Uploaded > limit {
					t.Errorf("the next run uploaded %d bytes, want at most %d", rep.Uploaded, limit)
				}
				if n := g.snapshots(); n != count {
					t.Errorf("%d snapshots after the next run, want %d", n, count)
				}
			})
		}
	}
	g.t = t
	g.verifyAll()
	target := restoreFolder(t, c)
	g.restore("latest", target, backup.RestoreOptions{Own: own(c)})
	copied := connect(t, startCopy(t, c, filepath.Join(target, "pg")))
	sameRows(t, dump(t, conn), dump(t, copied))
}
