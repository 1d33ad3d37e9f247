package backup_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"practicectl/backup"
	"practicectl/backup/proof"
	"practicectl/backup/repo"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// TestO6_CorruptPageIsReportedEveryTime changes one bit on the disk below PostgreSQL. A run that reads every page sees it at
// once, one that reads what changed when the page's turn to be audited comes, and then each time. The snapshot holds the last
// good copy.
func TestO6_CorruptPageIsReportedEveryTime(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		c := testenv.PG(t, major, testenv.Bootstrapped)
		conn := connect(t, c)
		fill(t, conn, 500)
		st, _ := dirStore(t)
		g := newRig(t, st)
		g.run(source(c))
		execSQL(t, conn, `CHECKPOINT`)
		var rel string
		if err := conn.QueryRow(t.Context(), `SELECT pg_relation_filepath('account')`).Scan(&rel); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(c.Data, rel)
		flip := func() {
			data, err := os.ReadFile(path)
			if err == nil {
				data[3*8192+5000] ^= 0x10
				err = os.WriteFile(path, data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		copied := repo.OlderCopy
		if major >= 17 {
			copied = repo.SameCopy // the log says that the page did not change
		}
		flip()
		found := false
		for n := range 17 {
			rep, err := backup.Run(t.Context(), g.host(), source(c), g.options(), progress.None)
			if err == nil && !found && rep.Mode == backup.Tracked {
				continue
			}
			if uerr.ExitCode(err) != 22 || !strings.Contains(err.Error(), "block 3 of "+rel) {
				t.Errorf("run %d: got %v", n, err)
			}
			if len(rep.Damaged) != 1 || rep.Damaged[0] != (repo.Damage{Path: rel, Block: 3, Copy: copied}) || len(rep.Snapshot.Damaged) != 1 {
				t.Errorf("run %d: damage %+v", n, rep.Damaged)
			}
			if found && n > 1 {
				break
			}
			found = true
		}
		if !found {
			t.Error("no run found the damage")
		}
		want := dump(t, conn) // from the server's memory, where the page is whole
		target := restoreFolder(t, c)
		g.restore("latest", target, backup.RestoreOptions{Own: own(c)})
		restored := connect(t, startCopy(t, c, filepath.Join(target, "pg")))
		sameRows(t, want, dump(t, restored))
		checkIndexes(t, restored)
		flip()
		if rep := g.run(source(c)); len(rep.Damaged) != 0 {
			t.Errorf("the page is whole again and %+v is reported", rep.Damaged)
		}
		g.verifyAll()
	})
}

// TestO6_ADamagedPageWithoutAGoodCopyIsStoredAsItIs has no earlier snapshot to take the page from.
func TestO6_ADamagedPageWithoutAGoodCopyIsStoredAsItIs(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		c := testenv.PG(t, major, testenv.Bootstrapped)
		conn := connect(t, c)
		fill(t, conn, 500)
		execSQL(t, conn, `CHECKPOINT`)
		var rel string
		if err := conn.QueryRow(t.Context(), `SELECT pg_relation_filepath('account')`).Scan(&rel); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(filepath.Join(c.Data, rel), os.O_RDWR, 0)
		if err == nil {
			_, err = f.WriteAt([]byte("rotten"), 2*8192+6000)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		st, _ := dirStore(t)
		g := newRig(t, st)
		for n := range 3 {
			rep, err := backup.Run(t.Context(), g.host(), source(c), g.options(), progress.None)
			if uerr.KindOf(err) != uerr.CorruptPage || len(rep.Damaged) != 1 || rep.Damaged[0] != (repo.Damage{Path: rel, Block: 2, Copy: repo.NoCopy}) {
				t.Errorf("run %d (%s): %v, %+v", n, rep.Mode, err, rep.Damaged)
			}
		}
		g.verifyAll()
		// A restore lays the page as it is, says so, and is not refused for it.
		rep := g.restore("latest", restoreFolder(t, c), backup.RestoreOptions{Own: own(c), Prove: func(context.Context, string) error { return nil }})
		if lost := rep.Snapshot.Lost(); len(lost) != 1 || lost[0].Block != 2 {
			t.Errorf("lost %+v", lost)
		}
	})
}

// TestO5_TablespacesAndManyDatabasesComeBack has everything that lies outside of the ordinary.
func TestO5_TablespacesAndManyDatabasesComeBack(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		c := testenv.PG(t, major, testenv.Bootstrapped)
		conn := connect(t, c)
		space := filepath.Join(c.SocketDir, "Tablespace ü")
		if err := os.Mkdir(space, 0o700); err != nil {
			t.Fatal(err)
		}
		if give := own(c); give != nil {
			if err := give(space); err != nil {
				t.Fatal(err)
			}
		}
		execSQL(t, conn, fmt.Sprintf(`CREATE TABLESPACE far LOCATION '%s'`, space))
		execSQL(t, conn, `CREATE TABLE distant (id int PRIMARY KEY, note text) TABLESPACE far`)
		execSQL(t, conn, `INSERT INTO distant SELECT i, 'fern ' || i FROM generate_series(1, 3000) i`)
		execSQL(t, conn, `CREATE TABLE holes (id int, filler text)`)
		execSQL(t, conn, `INSERT INTO holes SELECT i, repeat('x', 500) FROM generate_series(1, 2000) i`)
		execSQL(t, conn, `SELECT lo_from_bytea(0, decode(repeat('00ff', 5000), 'hex'))`)
		st, _ := dirStore(t)
		g := newRig(t, st)
		g.run(source(c))
		want := dump(t, conn)
		target := restoreFolder(t, c)
		g.restore("latest", target, backup.RestoreOptions{Own: own(c), Prove: func(_ context.Context, dir string) error {
			links, err := filepath.Glob(filepath.Join(dir, "pg", "pg_tblspc", "*"))
			if err != nil || len(links) != 1 {
				return fmt.Errorf("links %v, %w", links, err)
			}
			return nil
		}})
		copied := connect(t, startCopy(t, c, filepath.Join(target, "pg")))
		sameRows(t, want, dump(t, copied))
		var location string
		if err := copied.QueryRow(t.Context(), `SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'far'`).Scan(&location); err != nil || !strings.HasPrefix(location, target) {
			t.Errorf("tablespace lies in %q, %v", location, err)
		}
		// The copy can itself be saved again.
		checkIndexes(t, copied)
	})
}

// TestO5_SnapshotOfALaterTimelineRestores saves a cluster that was promoted once.
func TestO5_SnapshotOfALaterTimelineRestores(t *testing.T) {
	c := testenv.PG(t, 18, testenv.Bootstrapped)
	conn := connect(t, c)
	fill(t, conn, 300)
	st, _ := dirStore(t)
	g := newRig(t, st)
	g.run(source(c))
	target := restoreFolder(t, c)
	g.restore("latest", target, backup.RestoreOptions{Own: own(c)})
	signal := filepath.Join(target, "pg", "standby.signal")
	err := os.WriteFile(signal, nil, 0o600)
	if give := own(c); err == nil && give != nil {
		err = give(signal)
	}
	if err != nil {
		t.Fatal(err)
	}
	promoted := startCopy(t, c, filepath.Join(target, "pg"))
	conn = connect(t, promoted)
	execSQL(t, conn, `SELECT pg_promote()`)
	execSQL(t, conn, `UPDATE account SET note = 'zweite Zeitlinie' WHERE id < 50`)
	rep := g.run(source(promoted))
	if rep.Snapshot.Database.Timeline != 2 || !strings.Contains(rep.Snapshot.WAL[0].Key, "/00000002/history-") {
		t.Errorf("timeline %d, log %v", rep.Snapshot.Database.Timeline, rep.Snapshot.WAL)
	}
	g.verifyAll()
	again := restoreFolder(t, c)
	g.restore("latest", again, backup.RestoreOptions{Own: own(c)})
	sameRows(t, dump(t, conn), dump(t, connect(t, startCopy(t, c, filepath.Join(again, "pg")))))
}

// TestO5_ACopyThatFailsItsProofIsNotPutInPlace damages the copy after it was laid down, as a bad disk would.
func TestO5_ACopyThatFailsItsProofIsNotPutInPlace(t *testing.T) {
	c := testenv.PG(t, 15, testenv.Bootstrapped)
	conn := connect(t, c)
	fill(t, conn, 300)
	var index string
	if err := conn.QueryRow(t.Context(), `SELECT pg_relation_filepath('account_pkey')`).Scan(&index); err != nil {
		t.Fatal(err)
	}
	st, _ := dirStore(t)
	g := newRig(t, st)
	g.run(source(c))
	target := restoreFolder(t, c)
	_, err := g.tryRestore(t.Context(), "latest", target, backup.RestoreOptions{Own: own(c), Prove: func(ctx context.Context, dir string) error {
		path := filepath.Join(dir, "pg", index)
		data, err := os.ReadFile(path)
		if err == nil {
			data[8192+4000] ^= 0x40
			err = os.WriteFile(path, data, 0o600)
		}
		if err != nil {
			return err
		}
		return proof.Start(ctx, proof.Options{Bin: c.Bin, Account: c.RunAs, Data: filepath.Join(dir, "pg")})
	}})
	if uerr.KindOf(err) != uerr.Integrity || uerr.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("the copy was put in place")
	}
	// The next try throws the refused copy away.
	g.restore("latest", target, backup.RestoreOptions{Own: own(c)})
}
