package backup_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"practicectl/backup"
	"practicectl/backup/pagemap"
	"practicectl/backup/repo"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// packBytes is the size of all packs that a snapshot refers to.
func (g *rig) packBytes(h repo.Header) (n int64) {
	g.t.Helper()
	packs, err := g.host().Packs(g.t.Context(), h)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, p := range packs {
		n += p.Size
	}
	return n
}

// alone is the size of the packs of a source in a repository that holds nothing else.
func (g *rig) alone(src backup.Source) int64 {
	st, _ := dirStore(g.t)
	fresh := newRig(g.t, st)
	fresh.packSize = g.packSize
	rep, err := backup.Run(g.t.Context(), fresh.host(), src, fresh.options(), progress.None)
	if err != nil && uerr.KindOf(err) != uerr.CorruptPage {
		g.t.Fatal(err)
	}
	return fresh.packBytes(rep.Snapshot)
}

// settle takes snapshots of what does not change until no pack is retired any more, and then one that costs nothing.
func (g *rig) settle(night func() backup.Report) {
	g.t.Helper()
	for range 4 {
		if night().Refreshed.Packs == 0 {
			break
		}
	}
	// Small packs of trees still get old, as a database has new facts each night.
	if rep := night(); rep.Refreshed.Bytes > 32<<10 || rep.Uploaded > 64<<10 {
		g.t.Errorf("nothing changed, and %d bytes went up; refreshed %+v, %d pages moved", rep.Uploaded, rep.Refreshed, rep.Pages.Moved)
	}
}

// TestO7_OldPacksOfFilesAreStoredAnew changes random files each night. The packs of the newest snapshot hold at most twice what is
// in use, which they would not without the refresh; every snapshot is whole; and the old packs are garbage.
func TestO7_OldPacksOfFilesAreStoredAnew(t *testing.T) {
	const nights, files, size = 16, 60, 40 << 10
	seed := seeded(t).Uint64()
	refreshed := 0.0
	for _, limit := range []int64{0, -1, 100 << 10} {
		rng := rand.New(rand.NewPCG(seed, 1)) // the same changes each time
		st, _ := dirStore(t)
		p := newPruneRig(t, st)
		p.packSize = 1 << 20
		at, retired := firstNight, 0
		night := func() backup.Report {
			at = at.Add(day)
			p.clock.now = at
			o := p.options()
			o.Now, o.Refresh = func() time.Time { return at }, limit
			// A run that breaks off when all is stored and nothing committed costs the next one nothing.
			ctx, cancel := context.WithCancel(t.Context())
			broken := o
			broken.Crash = func(point string) {
				if point == "packs verified" {
					cancel()
				}
			}
			if rng.IntN(3) == 0 {
				if _, err := backup.Run(ctx, p.host(), p.src, broken, progress.None); err == nil {
					t.Error("a run that was cancelled succeeds")
				}
			}
			cancel()
			rep, err := backup.Run(t.Context(), p.host(), p.src, o, progress.None)
			if err != nil {
				t.Fatal(err)
			}
			if limit > 0 && rep.Refreshed.Bytes > limit {
				t.Errorf("%+v were stored anew, and the limit is %d", rep.Refreshed, limit)
			}
			retired += rep.Refreshed.Packs
			return rep
		}
		for i := range files {
			p.write(fmt.Sprint(i), i+1, size)
		}
		night()
		worst := 0.0
		live := p.alone(p.src)
		for n := range nights {
			// A quarter of the files never changes, so that no pack dies of itself.
			for i := files / 4; i < files; i++ {
				if rng.IntN(3) == 0 {
					p.write(fmt.Sprint(i), 1000*(n+1)+i, size)
				}
			}
			rep := night()
			worst = max(worst, float64(p.packBytes(rep.Snapshot))/float64(live))
		}
		switch {
		case limit < 0 && (retired != 0 || worst < 1.2*refreshed):
			t.Errorf("without a refresh %d packs were retired, and the packs hold %.2f times what is in use", retired, worst)
		case limit >= 0 && retired == 0:
			t.Error("no pack was retired")
		case limit == 0 && worst > 2:
			t.Errorf("the packs hold %.2f times what is in use", worst)
		}
		t.Logf("limit %d: %d packs retired, %.2f times at worst", limit, retired, worst)
		if limit != 0 {
			continue
		}
		refreshed = worst
		p.settle(night)
		p.restoresAll()
		before := len(p.stored("p/"))
		p.prune(at.Add(time.Hour))
		at = at.Add(8 * day)
		p.prune(at)
		if after := len(p.stored("p/")); after > before*3/4 {
			t.Errorf("%d packs, and %d after they were pruned", before, after)
		}
		p.restoresAll()
	}
}

// TestO7_OldPacksOfPagesAreStoredAnew changes random pages of a table each night, below a page that becomes damaged on the disk.
// What is in use of old packs is read from the database and stored anew, in either mode; only the last good copy of the damaged
// page stays where it is.
func TestO7_OldPacksOfPagesAreStoredAnew(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		rng := seeded(t)
		c := testenv.PG(t, major, testenv.Bootstrapped, testenv.Param("autovacuum", "off"))
		conn := connect(t, c)
		execSQL(t, conn, `CREATE TABLE wide (id int PRIMARY KEY, body text NOT NULL) WITH (fillfactor = 50)`)
		execSQL(t, conn, `INSERT INTO wide SELECT i, (SELECT string_agg(md5((i * 16 + k)::text), '') FROM generate_series(1, 12) k) FROM generate_series(1, 8000) i`)
		execSQL(t, conn, `VACUUM wide`)
		var rel string
		if err := conn.QueryRow(t.Context(), `SELECT pg_relation_filepath('wide')`).Scan(&rel); err != nil {
			t.Fatal(err)
		}
		st, _ := dirStore(t)
		g := newRig(t, st)
		g.packSize = 1 // each frame of pages is a pack
		var moved int64
		damaged, modes := false, map[string]int{}
		night := func() backup.Report {
			t.Helper()
			rep, err := backup.Run(t.Context(), g.host(), source(c), g.options(), progress.None)
			var known *uerr.Error
			if err != nil && !(damaged && errors.As(err, &known) && known.Kind == uerr.CorruptPage) {
				t.Fatal(err)
			}
			moved += rep.Pages.Moved
			modes[rep.Mode]++
			for _, d := range rep.Damaged {
				if d.Path != rel || d.Block != 3 || d.Copy == repo.NoCopy {
					t.Errorf("damage %+v", d)
				}
			}
			return rep
		}
		night()
		var last backup.Report
		for n := range 6 {
			if n == 2 {
				execSQL(t, conn, `CHECKPOINT`)
				path := filepath.Join(c.Data, rel)
				data, err := os.ReadFile(path)
				if err == nil {
					data[3*8192+5000] ^= 0x10
					err = os.WriteFile(path, data, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				damaged = true
			}
			var blocks []int
			for b := range 1000 {
				// All that lies in one pack with block 3 changes before the night in which block 3 is found to be damaged.
				if b != 3 && (rng.IntN(4) == 0 || n == 1 && b < 20) {
					blocks = append(blocks, b)
				}
			}
			execSQL(t, conn, `UPDATE wide SET body = reverse(body) WHERE (ctid::text::point)[0]::int = ANY ($1)`, blocks)
			execSQL(t, conn, `CHECKPOINT`)
			last = night()
		}
		live := g.alone(source(c))
		if got := g.packBytes(last.Snapshot); got > 2*live {
			t.Errorf("the packs hold %d bytes, and %d are in use", got, live)
		} else {
			t.Logf("the packs hold %.2f times what is in use; %d pages moved; %v", float64(got)/float64(live), moved, modes)
		}
		if moved == 0 || major >= 17 && modes[backup.Tracked] < 6 {
			t.Errorf("%d pages moved, modes %v", moved, modes)
		}
		g.settle(night)
		last = night()
		m, err := pagemap.Open(g.cache, last.Snapshot.ID, func() *repo.Tagger { return g.keys.Index.Tagger("page map") })
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		used, err := m.InUse()
		if err != nil {
			t.Fatal(err)
		}
		pinned := 0
		for i, p := range m.Packs {
			switch {
			case slices.Contains(m.Retired, p.ID):
				pinned++
				if used[i] != repo.PageSize {
					t.Errorf("%d bytes are still in use in a retired pack, and only the damaged page should be", used[i])
				}
			case 2*used[i] < p.Content && p.Content > 128<<10 || used[i] > p.Content:
				t.Errorf("%d of %d bytes of a pack are in use", used[i], p.Content)
			}
		}
		if pinned != 1 || len(last.Damaged) != 1 {
			t.Errorf("%d retired packs are in use, damage %+v", pinned, last.Damaged)
		}
		g.verifyAll()
		want := dump(t, conn)
		target := restoreFolder(t, c)
		if rep := g.restore("latest", target, backup.RestoreOptions{Own: own(c)}); rep.Read > 2*live {
			t.Errorf("the restore read %d bytes, and %d are in use", rep.Read, live)
		}
		restored := connect(t, startCopy(t, c, filepath.Join(target, "pg")))
		sameRows(t, want, dump(t, restored))
		checkIndexes(t, restored)
	})
}
