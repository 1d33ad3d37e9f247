package backup_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"practicectl/backup"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
)

var (
	kills = flag.Int("kills", 16, "how many backups are killed on each PostgreSQL")
	seed  = flag.Uint64("seed", 0, "repeats the moments of a run that logged this seed; 0: new ones")
)

// seeded is a source of random numbers whose seed is in the test's log.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	for s == 0 {
		s = rand.Uint64()
	}
	t.Logf("repeat with -seed %d", s)
	return rand.New(rand.NewPCG(s, 1))
}

// TestO6_KilledAtRandomMomentsUnderLoad kills real backups at random moments while pgbench works. Every snapshot that was
// committed can be restored, a run that nobody kills succeeds by itself, and nothing that killed runs left behind grows.
func TestO6_KilledAtRandomMomentsUnderLoad(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		rng := seeded(t)
		c := testenv.PG(t, major, testenv.Bootstrapped)
		conn := connect(t, c)
		stop := pgbench(t, c)
		st, folder := dirStore(t)
		g := newRig(t, st)
		g.packSize = smallPack
		j := job{Store: folder, Cred: g.cred, Cache: g.cache, Recipients: g.recipients, Source: source(c)}
		g.run(source(c))
		began := time.Now()
		g.run(source(c)) // as long as a run takes when little has changed
		usual := time.Since(began)
		files := countFiles(t, g.cache)

		cut := 0
		for range *kills {
			if killedAfter(t, j, time.Duration(rng.Int64N(int64(usual*3/2)))) {
				cut++
			}
			if n := slots(t, conn); n > 0 {
				t.Errorf("%d temporary slots are left in the database", n)
			}
		}
		if cut < *kills/4 {
			t.Errorf("only %d of %d runs were killed before their end", cut, *kills)
		}
		if _, err := backup.Verify(t.Context(), g.holder(), backup.VerifyOptions{}, progress.None); err != nil {
			t.Error(err)
		}
		g.run(source(c)) // nobody has to clean up
		g.run(source(c))
		committed := g.snapshots()
		t.Logf("%d of %d runs were killed, %d snapshots, a run took %v", cut, *kills, committed, usual)
		// The index of each committed snapshot is kept, and nothing for those that were not.
		if left := countFiles(t, g.cache); left > files+committed {
			t.Errorf("the cache has %d files, %d after two runs, with %d snapshots", left, files, committed)
		}
		stop()

		g.verifyAll() // of each snapshot every page against the signature
		all, err := backup.List(t.Context(), g.holder())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range []int{len(all) - 1, rng.IntN(len(all))} {
			target := restoreFolder(t, c)
			g.restore(all[i].Snapshot.ID, target, backup.RestoreOptions{Own: own(c)})
			copied := connect(t, startCopy(t, c, filepath.Join(target, "pg")))
			balanced(t, copied)
			checkIndexes(t, copied)
		}
	})
}

// pgbench fills its tables and works on them until the returned function is called.
func pgbench(t *testing.T, c *pgcluster.Cluster) (stop func()) {
	t.Helper()
	bin, err := pgcluster.FindMajor(t.Context(), "", 15) // it works with all servers
	if err != nil {
		t.Fatal(err)
	}
	line := func(args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin.Dir, "pgbench"), append(args, "-h", c.SocketDir, "-p", strconv.Itoa(c.Port), "-U", pgcluster.Superuser, database)...)
		cmd.Stderr = new(bytes.Buffer)
		return cmd
	}
	if out, err := line("-i", "-q", "-s", "1").Output(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	work := line("-n", "-c", "2", "-R", "150", "-T", "600")
	if err := work.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		_ = work.Process.Kill() // it has no end of its own
		_ = work.Wait()
		if work.ProcessState.Exited() {
			t.Errorf("pgbench ended by itself: %v\n%s", work.ProcessState, work.Stderr)
		}
	}
	t.Cleanup(stop)
	return stop
}

// balanced checks what holds after each of pgbench's transactions.
func balanced(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	var accounts, tellers, branches, history int64
	if err := conn.QueryRow(t.Context(), `SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(bbalance) FROM pgbench_branches),
		(SELECT coalesce(sum(delta), 0) FROM pgbench_history)`).Scan(&accounts, &tellers, &branches, &history); err != nil {
		t.Fatal(err)
	}
	if accounts != tellers || accounts != branches || accounts != history {
		t.Errorf("the sums are %d, %d, %d, %d: a transaction was restored in part", accounts, tellers, branches, history)
	}
}

// killedAfter runs j in a process of its own, kills that after a while, and tells whether it had not ended before.
func killedAfter(t *testing.T, j job, after time.Duration) bool {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childJob+"="+string(text))
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // it may have ended
	err = cmd.Wait()
	timer.Stop()
	if err != nil && cmd.ProcessState.Exited() {
		t.Fatalf("a run failed by itself: %v\n%s", err, said.String())
	}
	return err != nil
}

// slots waits a moment for the server to notice that its clients are gone and counts the replication slots.
func slots(t *testing.T, conn *pgx.Conn) (n int) {
	t.Helper()
	for range 500 {
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_replication_slots`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return n
}

func countFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
