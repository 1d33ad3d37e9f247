package backup_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"practicectl/backup"
	"practicectl/backup/proof"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// entry is one committed transaction of a writer, as the writer itself noted it.
type entry struct {
	id            int
	before, after pgcluster.LSN // ends of the log before it began and after it was committed
	committed     time.Time     // by the database's clock
}

// journal is what the writers of a test were told is committed.
type journal struct {
	t    *testing.T
	c    *pgcluster.Cluster
	mu   sync.Mutex
	rows map[int][]entry // by writer
	stop chan struct{}
	work sync.WaitGroup
}

// keepJournal makes a table and writers that add a row in each transaction.
func keepJournal(t *testing.T, c *pgcluster.Cluster, writers int, seed uint64) *journal {
	t.Helper()
	t.Logf("seed %d", seed)
	execSQL(t, connect(t, c), `CREATE TABLE entry (writer int, id int, body text, PRIMARY KEY (writer, id))`)
	j := &journal{t: t, c: c, rows: map[int][]entry{}, stop: make(chan struct{})}
	for w := range writers {
		j.work.Go(func() { j.write(w, rand.New(rand.NewPCG(seed, uint64(w)))) })
	}
	return j
}

func (j *journal) write(writer int, rng *rand.Rand) {
	ctx := context.Background()
	conn, err := j.c.Connect(ctx, pgcluster.Superuser, database)
	if err != nil {
		j.t.Error(err)
		return
	}
	defer conn.Close(ctx)
	where := func() (at pgcluster.LSN) {
		var text string
		if err := conn.QueryRow(ctx, `SELECT pg_current_wal_insert_lsn()::text`).Scan(&text); err != nil {
			j.t.Error(err)
			return 0
		}
		at, _ = pgcluster.ParseLSN(text)
		return at
	}
	for id := 1; ; id++ {
		select {
		case <-j.stop:
			return
		default:
		}
		e := entry{id: id, before: where()}
		if _, err := conn.Exec(ctx, `INSERT INTO entry VALUES ($1, $2, repeat(md5('x'), $3))`, writer, id, 1+rng.IntN(120)); err != nil {
			j.t.Error(err)
			return
		}
		e.after = where()
		if err := conn.QueryRow(ctx, `SELECT pg_xact_commit_timestamp(xmin) FROM entry WHERE writer = $1 AND id = $2`, writer, id).Scan(&e.committed); err != nil {
			j.t.Error(err)
			return
		}
		j.mu.Lock()
		j.rows[writer] = append(j.rows[writer], e)
		j.mu.Unlock()
	}
}

// reach waits until each writer has n entries and returns a copy.
func (j *journal) reach(n int) map[int][]entry {
	j.t.Helper()
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(2 * time.Millisecond) {
		j.mu.Lock()
		least, rows := n, map[int][]entry{}
		for w, all := range j.rows {
			least, rows[w] = min(least, len(all)), slices.Clone(all)
		}
		if len(j.rows) == 0 {
			least = 0
		}
		j.mu.Unlock()
		if least >= n {
			return rows
		}
		if time.Now().After(end) || j.t.Failed() {
			j.t.Fatalf("the writers do not come to %d entries", n)
		}
	}
}

func (j *journal) end() map[int][]entry {
	close(j.stop)
	j.work.Wait()
	return j.rows
}

// check compares a restored copy with the journal: of every writer a beginning, with all that must be there and nothing that
// must not.
func (j *journal) check(conn *pgx.Conn, must, may func(entry) bool) {
	j.t.Helper()
	for w, all := range j.rows {
		rows, err := conn.Query(context.Background(), `SELECT id FROM entry WHERE writer = $1 ORDER BY id`, w)
		if err != nil {
			j.t.Fatal(err)
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int])
		if err != nil {
			j.t.Fatal(err)
		}
		for i, id := range ids {
			if id != i+1 {
				j.t.Fatalf("writer %d: entry %d follows %d", w, id, i)
			}
		}
		for _, e := range all {
			if there := e.id <= len(ids); must(e) && !there || there && !may(e) {
				j.t.Errorf("writer %d: entry %d (log %s to %s, %s) is there: %v", w, e.id, e.before, e.after, e.committed, there)
			}
		}
	}
}

// restorePoint restores to a point and opens the copy.
func (g *rig) restorePoint(c *pgcluster.Cluster, snapshot string, to backup.Point) (*backup.RestorePlan, *pgx.Conn) {
	g.t.Helper()
	t := g.t.(*testing.T)
	target := restoreFolder(t, c)
	plan, err := backup.PlanRestore(t.Context(), g.holder(), backup.Target{Snapshot: snapshot, Dir: target, Point: &to})
	if err != nil {
		t.Fatalf("to %s: %v", to, err)
	}
	_, err = backup.Restore(t.Context(), plan, backup.RestoreOptions{Now: time.Now, Own: own(c), Prove: func(ctx context.Context, dir string) error {
		return proof.Start(ctx, proof.Options{Bin: c.Bin, Account: c.RunAs, Data: filepath.Join(dir, "pg")})
	}}, progress.None)
	if err != nil {
		t.Fatalf("to %s: %v", to, err)
	}
	return plan, connect(t, startCopy(t, c, filepath.Join(target, "pg")))
}

// TestO5_EveryMomentIsRestoredExactly restores to positions, times, a name and the end, and compares with what the writers
// were told.
func TestO5_EveryMomentIsRestoredExactly(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		seed := uint64(time.Now().UnixNano())
		rng := rand.New(rand.NewPCG(seed, 99))
		c := testenv.PG(t, major, testenv.Bootstrapped)
		conn := connect(t, c)
		st, _ := dirStore(t)
		g := newRig(t, st)
		s := g.stream(c, t.TempDir())
		j := keepJournal(t, c, 2, seed)
		j.reach(20)
		first := g.run(source(c))
		j.reach(300)
		burst(t, conn, 12)
		name := scalar[string](t, conn, `SELECT pg_create_restore_point('vor dem Umbau')::text`)
		named, _ := pgcluster.ParseLSN(name)
		middle := j.reach(600)
		second := g.run(source(c))
		later := len(j.reach(600)[0])
		j.reach(later + 300)
		all := j.end()
		execSQL(t, conn, `CREATE TABLE after_all (id int)`)
		end := flushed(t, conn)
		s.reaches(end)
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}

		at := func(low, high int) entry { return all[0][low+rng.IntN(high-low)] }
		t.Run("a position between the snapshots", func(t *testing.T) {
			e := at(200, len(middle[0]))
			plan, conn := g.restorePoint(c, "latest", backup.Point{LSN: e.after})
			if plan.Snapshot.ID != first.Snapshot.ID {
				t.Error("it did not begin with the first snapshot")
			}
			j.check(conn, func(x entry) bool { return x.after <= e.after }, func(x entry) bool { return x.before < e.after })
		})
		t.Run("a position after both", func(t *testing.T) {
			e := at(later, len(all[0]))
			plan, conn := g.restorePoint(c, "latest", backup.Point{LSN: e.after})
			if plan.Snapshot.ID != second.Snapshot.ID {
				t.Error("it did not begin with the second snapshot")
			}
			j.check(conn, func(x entry) bool { return x.after <= e.after }, func(x entry) bool { return x.before < e.after })
			checkIndexes(t, conn)
		})
		t.Run("a time, from the snapshot that is named", func(t *testing.T) {
			e := at(later, len(all[0])-20)
			_, conn := g.restorePoint(c, first.Snapshot.ID[:8], backup.Point{Time: e.committed})
			same := func(x entry) bool { return !x.committed.After(e.committed) }
			j.check(conn, same, same)
		})
		t.Run("a name", func(t *testing.T) {
			_, conn := g.restorePoint(c, "latest", backup.Point{Name: "vor dem Umbau"})
			j.check(conn, func(x entry) bool { return x.after <= named }, func(x entry) bool { return x.before < named })
		})
		t.Run("the end", func(t *testing.T) {
			_, conn := g.restorePoint(c, "latest", backup.Point{Latest: true})
			if !scalar[bool](t, conn, `SELECT to_regclass('after_all') IS NOT NULL`) {
				t.Error("the last change is missing")
			}
			yes := func(entry) bool { return true }
			j.check(conn, yes, yes)
		})
		t.Run("the very end as a position", func(t *testing.T) {
			_, conn := g.restorePoint(c, "latest", backup.Point{LSN: end})
			if !scalar[bool](t, conn, `SELECT to_regclass('after_all') IS NOT NULL`) {
				t.Error("the last change is missing")
			}
		})
		t.Run("what is not there is refused before anything is laid", func(t *testing.T) {
			for _, p := range []backup.Point{{LSN: end + 1}, {LSN: 0x1000028}, {Time: time.Now().Add(time.Hour)}, {Time: first.Snapshot.Created.Add(-time.Hour)}, {Name: "nie vergeben"}, {LSN: end, Timeline: 7}} {
				_, err := backup.PlanRestore(t.Context(), g.holder(), backup.Target{Snapshot: "latest", Dir: restoreFolder(t, c), Point: &p})
				want := uerr.WALGap
				if p.Name != "" {
					want = uerr.NotFound
				}
				if uerr.KindOf(err) != want || uerr.HintOf(err) == "" {
					t.Errorf("%s: %v", p, err)
				}
				if want == uerr.WALGap && p.Time.IsZero() && !strings.Contains(fmt.Sprint(err), "timeline 1, ") {
					t.Errorf("%s: it does not say what can be restored: %v", p, err)
				}
			}
		})
	})
}
