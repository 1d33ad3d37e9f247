package backup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"practicectl/backup"
	"practicectl/backup/pagemap"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
)

// TestO6_AnyDoubtMeansAFullRead has each guard of tracked mode refuse once, and the run after that go on as before.
func TestO6_AnyDoubtMeansAFullRead(t *testing.T) {
	c := testenv.PG(t, 18, testenv.Bootstrapped, testenv.Param("autovacuum", "off"))
	conn := connect(t, c)
	fill(t, conn, 300)
	st, _ := dirStore(t)
	g := newRig(t, st)
	now := time.Now().Add(-30 * 24 * time.Hour) // far from the future, which no snapshot may be of
	first := g.options()
	first.Now = func() time.Time { return now }
	last, err := backup.Run(t.Context(), g.host(), source(c), first, progress.None)
	if err != nil {
		t.Fatal(err)
	}
	if last.Mode != backup.FullRead || !strings.Contains(last.Reason, "no snapshot yet") {
		t.Errorf("the first is %s: %s", last.Mode, last.Reason)
	}
	for _, doubt := range []struct {
		name, reason string
		cause        func(o *backup.RunOptions)
	}{
		{"none", "", func(*backup.RunOptions) {}},
		{"asked for", "asked for", func(o *backup.RunOptions) { o.Full = true }},
		{"long ago", "every 28 days", func(*backup.RunOptions) { now = now.Add(29 * 24 * time.Hour) }},
		{"lost cache", "not on this machine", func(*backup.RunOptions) {
			if err := os.RemoveAll(g.cache); err != nil {
				t.Fatal(err)
			}
		}},
		{"damaged page map", "cannot be read", func(*backup.RunOptions) {
			path := pagemap.Path(g.cache, last.Snapshot.ID)
			data, err := os.ReadFile(path)
			if err == nil {
				data[len(data)-100] ^= 1
				err = os.WriteFile(path, data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
		{"page map of another snapshot", "not on this machine", func(*backup.RunOptions) {
			if err := os.Rename(pagemap.Path(g.cache, last.Snapshot.ID), pagemap.Path(g.cache, strings.Repeat("0", 32))); err != nil {
				t.Fatal(err)
			}
		}},
		{"no witness", "witness", func(*backup.RunOptions) { execSQL(t, conn, `DELETE FROM practice_ops.witness`) }},
		{"a summary is missing", "has no summary", func(*backup.RunOptions) {
			execSQL(t, conn, `CHECKPOINT`)
			execSQL(t, conn, `UPDATE account SET balance = balance + 1 WHERE id = 5`)
			execSQL(t, conn, `CHECKPOINT`)
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
				summaries, err := filepath.Glob(filepath.Join(c.Data, "pg_wal", "summaries", "*.summary"))
				if err != nil || time.Now().After(deadline) {
					t.Fatalf("no summary appears: %v", err)
				}
				found := false
				for _, path := range summaries {
					// The name is timeline, start and end; the one that begins with the last snapshot goes.
					if strings.HasPrefix(filepath.Base(path), "00000001"+lsnName(last.Snapshot.Database.Start)) {
						found = true
						if err := os.Remove(path); err != nil {
							t.Fatal(err)
						}
					}
				}
				if found {
					return
				}
			}
		}},
	} {
		o := g.options()
		o.Now = func() time.Time { return now }
		doubt.cause(&o)
		rep, err := backup.Run(t.Context(), g.host(), source(c), o, progress.None)
		if err != nil {
			t.Fatalf("%s: %v", doubt.name, err)
		}
		want := backup.Tracked
		if doubt.reason != "" {
			want = backup.FullRead
		}
		if rep.Mode != want || !strings.Contains(rep.Reason, doubt.reason) || rep.Snapshot.Mode != rep.Mode || rep.Snapshot.Reason != rep.Reason {
			t.Errorf("%s: %s, %q", doubt.name, rep.Mode, rep.Reason)
		}
		if rep.Uploaded > 300<<10 {
			t.Errorf("%s: %d bytes went up", doubt.name, rep.Uploaded)
		}
		if last = rep; doubt.reason == "" {
			continue
		}
		o.Full = false
		if last, err = backup.Run(t.Context(), g.host(), source(c), o, progress.None); err != nil || last.Mode != backup.Tracked {
			t.Errorf("after %s: %s (%s), %v", doubt.name, last.Mode, last.Reason, err)
		}
	}
	g.verifyAll()
}

// lsnName is a position in the log as it stands in names of files.
func lsnName(lsn string) string {
	high, low, _ := strings.Cut(lsn, "/")
	return strings.Repeat("0", 8-len(high)) + high + strings.Repeat("0", 8-len(low)) + low
}

// TestO6_ADamagedPartOfThePageMapIsReadAnew flips a bit among the rows: the tag of that part tells.
func TestO6_ADamagedPartOfThePageMapIsReadAnew(t *testing.T) {
	o := newOracleRig(t, testenv.PG(t, 18, testenv.Bootstrapped, testenv.Param("autovacuum", "off")))
	rep := o.take(false)
	path := pagemap.Path(o.cache, rep.Snapshot.ID)
	data, err := os.ReadFile(path)
	if err == nil {
		for i := 1000; i < 100_000; i += 4096 {
			data[i] ^= 0x20
		}
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	rep = o.take(false)
	if rep.Mode != backup.Tracked {
		t.Errorf("%s: %s", rep.Mode, rep.Reason)
	}
	for _, page := range o.missed(o.open(rep.Snapshot.ID)) {
		t.Error(page)
	}
	o.verifyAll()
}

// TestO6_AnotherMajorVersionIsReadInFull saves a cluster of the next version under the same name, as after an upgrade.
func TestO6_AnotherMajorVersionIsReadInFull(t *testing.T) {
	old := testenv.PG(t, 15, testenv.Bootstrapped)
	fill(t, connect(t, old), 300)
	st, _ := dirStore(t)
	g := newRig(t, st)
	if rep := g.run(source(old)); rep.Mode != backup.FullRead {
		t.Errorf("%s", rep.Mode)
	}
	if rep := g.run(source(old)); rep.Mode != backup.FullRead || rep.Reason != "PostgreSQL 15 does not summarize its log" || rep.Pages.Changed > rep.Pages.Total/20 {
		t.Errorf("%s: %s, %+v", rep.Mode, rep.Reason, rep.Pages)
	}
	c := testenv.PG(t, 18, testenv.Bootstrapped)
	conn := connect(t, c)
	fill(t, conn, 300)
	if rep := g.run(source(c)); rep.Mode != backup.FullRead || !strings.Contains(rep.Reason, "another cluster") {
		t.Errorf("%s: %s", rep.Mode, rep.Reason)
	}
	if rep := g.run(source(c)); rep.Mode != backup.Tracked {
		t.Errorf("%s: %s", rep.Mode, rep.Reason)
	}
	g.verifyAll()
	target := restoreFolder(t, c)
	g.restore("latest", target, backup.RestoreOptions{Own: own(c)})
	sameRows(t, dump(t, conn), dump(t, connect(t, startCopy(t, c, filepath.Join(target, "pg")))))
}

// TestO6_NothingChangedCostsLittle bounds what a run costs in which nothing changed.
func TestO6_NothingChangedCostsLittle(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		c := testenv.PG(t, major, testenv.Bootstrapped, testenv.Param("autovacuum", "off"))
		fill(t, connect(t, c), 6000)
		st, _ := dirStore(t)
		g := newRig(t, st)
		g.run(source(c))
		g.run(source(c))
		rep := g.run(source(c))
		t.Logf("%s: %d bytes up, %d requests, %+v, %.3f s", rep.Mode, rep.Uploaded, rep.Requests, rep.Pages, rep.Seconds)
		if rep.Uploaded > 64<<10 || rep.Requests > 20 {
			t.Errorf("nothing changed and it took %d bytes and %d requests", rep.Uploaded, rep.Requests)
		}
		if rep.Mode == backup.Tracked && rep.Pages.Read > rep.Pages.Total/3 {
			t.Errorf("%d of %d pages were read", rep.Pages.Read, rep.Pages.Total)
		}
	})
}
