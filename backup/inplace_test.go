package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"practicectl/backup"
	"practicectl/backup/proof"
	"practicectl/backup/restore"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// older is a stopped cluster that went on after its snapshot, and what its rows were at the snapshot.
type older struct {
	*rig
	c      *pgcluster.Cluster
	folder string // of the store
	rows   map[string][]string
	size   int64
}

func newOlder(t testing.TB, major int) *older {
	t.Helper()
	c := testenv.PG(t, major, testenv.Bootstrapped)
	conn := connect(t, c)
	fill(t, conn, 3000)
	execSQL(t, conn, `CREATE TABLE gone AS SELECT i, repeat('x', 200) AS x FROM generate_series(1, 2000) i`)
	st, folder := dirStore(t)
	o := &older{rig: newRig(t, st), c: c, folder: folder}
	o.size = o.run(source(c)).Snapshot.Bytes
	o.rows = dump(t, conn)
	for _, sql := range []string{
		`UPDATE account SET note = 'verdorben' WHERE id % 50 = 0`, `DELETE FROM session_note WHERE id % 9 = 1`, `DROP TABLE gone`,
		`CREATE TABLE later AS SELECT i, repeat('y', 300) AS y FROM generate_series(1, 3000) i`, `CREATE DATABASE later`, `VACUUM account`, `CHECKPOINT`,
	} {
		execSQL(t, conn, sql)
	}
	_ = conn.Close(context.Background())
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	return o
}

// destroy overwrites pages of the largest files with noise, cuts one off and lengthens another. It returns the bytes overwritten.
func (o *older) destroy(data string) int64 {
	o.t.Helper()
	rng := rand.New(rand.NewPCG(4, 2))
	var files []string
	_ = filepath.WalkDir(filepath.Join(data, "base"), func(path string, d fs.DirEntry, err error) error {
		if info, serr := os.Stat(path); err == nil && serr == nil && info.Mode().IsRegular() && info.Size() > 256<<10 {
			files = append(files, path)
		}
		return nil
	})
	done := int64(0)
	for i, path := range files {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			o.t.Fatal(err)
		}
		info, _ := f.Stat()
		noise := make([]byte, 8192)
		for k := range noise {
			noise[k] = byte(rng.Uint32())
		}
		if _, err := f.WriteAt(noise, rng.Int64N(info.Size()/8192)*8192); err != nil {
			o.t.Fatal(err)
		}
		done += 8192
		switch i {
		case 0:
			err = f.Truncate(info.Size() - 24<<10)
			done += 24 << 10
		case 1:
			_, err = f.WriteAt(noise, info.Size())
		}
		if err = errors.Join(err, f.Close()); err != nil {
			o.t.Fatal(err)
		}
	}
	return done
}

// twin copies the data folder to a place that the account of the cluster can reach.
func (o *older) twin(t testing.TB) string {
	t.Helper()
	to := filepath.Dir(restoreFolder(t, o.c)) + "/data"
	if out, err := exec.Command("cp", "-a", o.c.Data, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

func (o *older) inPlace(ctx context.Context, dir string, opts backup.RestoreOptions) (backup.RestoreReport, error) {
	plan, err := backup.PlanRestore(ctx, o.holder(), backup.Target{Snapshot: "latest", Dir: dir, InPlace: true})
	if err != nil {
		return backup.RestoreReport{}, err
	}
	opts.Now, opts.Own = time.Now, own(o.c)
	return backup.Restore(ctx, plan, opts, progress.None)
}

func (o *older) prove(dir string) error {
	return proof.Start(context.Background(), proof.Options{Bin: o.c.Bin, Account: o.c.RunAs, Data: dir})
}

// check starts the restored folder and compares the rows.
func (o *older) check(t testing.TB, dir string) {
	t.Helper()
	conn := connect(t, startCopy(t, o.c, dir))
	sameRows(t, o.rows, dump(t, conn))
	checkIndexes(t, conn)
}

// state is every path below a folder with its mode and content.
func state(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		rel, _ := filepath.Rel(dir, path)
		text := info.Mode().String()
		if err == nil && d.Type().IsRegular() {
			var data []byte
			data, err = os.ReadFile(path)
			text += " " + string(data)
		}
		out[rel] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameState(t testing.TB, want, got map[string]string) {
	t.Helper()
	for name, text := range want {
		if other, ok := got[name]; !ok || other != text {
			t.Errorf("%s: there %v, same %v, %d and %d bytes", name, ok, other == text, len(text), len(other))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: should not be there", name)
		}
	}
}

func gone(t testing.TB, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was left: %v", path, err)
		}
	}
}

// TestO5_ADatabaseComesBackInPlaceByItsDifferences reads little more than what is different, and the practice goes on from there.
func TestO5_ADatabaseComesBackInPlaceByItsDifferences(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		o := newOlder(t, major)
		o.destroy(o.c.Data)
		rep, err := o.inPlace(t.Context(), o.c.Data, backup.RestoreOptions{Prove: func(_ context.Context, dir string) error { return o.prove(dir) }})
		if err != nil {
			t.Fatal(err)
		}
		if rep.Written > o.size/2 || rep.Read > o.size/4 || !rep.Proved || rep.Resumed {
			t.Errorf("of %d bytes %d were written and %d read: %+v", o.size, rep.Written, rep.Read, rep)
		}
		t.Logf("%d bytes in the database, %d written, %d read in %d requests", o.size, rep.Written, rep.Read, rep.Requests)
		gone(t, o.c.Data+restore.UndoSuffix)
		o.check(t, o.c.Data)
	})
}

// TestO5_InPlaceReadsOnlyTheDamage has nothing but damaged pages, as after a bad disk: 1 % of a table that does not compress.
func TestO5_InPlaceReadsOnlyTheDamage(t *testing.T) {
	c := testenv.PG(t, 15, testenv.Bootstrapped)
	conn := connect(t, c)
	execSQL(t, conn, `CREATE TABLE noise AS SELECT i, gen_random_bytes(900) AS data FROM generate_series(1, 40000) i`)
	execSQL(t, conn, `VACUUM FREEZE noise`)
	execSQL(t, conn, `CHECKPOINT`)
	var rel string
	if err := conn.QueryRow(t.Context(), `SELECT pg_relation_filepath('noise')`).Scan(&rel); err != nil {
		t.Fatal(err)
	}
	st, _ := dirStore(t)
	g := newRig(t, st)
	g.run(source(c))
	target := restoreFolder(t, c)
	g.restore("latest", target, backup.RestoreOptions{Own: own(c)})
	want := state(t, target)
	path := filepath.Join(target, "pg", rel)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damage := 0
	for block := 3; block*8192 < len(data); block += 512 { // a stretch of pages here and there
		for k := range 16 {
			copy(data[(block+k)*8192%len(data):], bytes.Repeat([]byte{0xde}, 8192))
			damage += 8192
		}
	}
	if err := os.WriteFile(path, data[:len(data)-len(data)%8192], 0o600); err != nil {
		t.Fatal(err)
	}
	o := &older{rig: g, c: c}
	rep, err := o.inPlace(t.Context(), target, backup.RestoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	index := int64(len(data)/8192*16 + 64<<10)
	log := rep.Snapshot.WAL[0].Size
	if limit := int64(damage)*2 + index + log + 1<<20; rep.Read > limit {
		t.Errorf("%d bytes were damaged and %d read, want at most %d", damage, rep.Read, limit)
	}
	t.Logf("%d bytes damaged, %d written, %d read in %d requests", damage, rep.Written, rep.Read, rep.Requests)
	sameState(t, want, state(t, target))
}

// killedInPlace lets a process restore dir in place and die at a point; it tells whether the point was reached.
func (o *older) killedInPlace(t *testing.T, dir, point string, nth int, undo bool) bool {
	t.Helper()
	j := restoreJob{Identity: o.secret(1), Target: dir, InPlace: true, Undo: undo}
	if o.c.RunAs != nil {
		j.UID, j.GID = int(o.c.RunAs.UID), int(o.c.RunAs.GID)
	}
	return killed(t, job{Store: o.folder, Cred: o.cred, Point: point, Nth: nth, Restore: &j})
}

// TestO5_KilledInPlaceItIsFinishedOrTakenBack kills a real process at every step of a restore in place, twice over: once it is
// finished by the same command, once it is taken back, and that is itself killed at every step.
func TestO5_KilledInPlaceItIsFinishedOrTakenBack(t *testing.T) {
	o := newOlder(t, 15)
	o.destroy(o.c.Data)
	before := state(t, o.c.Data)
	finished := o.twin(t)
	if _, err := o.inPlace(t.Context(), finished, backup.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	want := state(t, finished)
	for _, point := range restore.PointsInPlace {
		if point == "proved" {
			continue // nothing proves here; see the test of a copy that is refused
		}
		for _, nth := range []int{1, 7} {
			if nth > 1 && point != "file opened" {
				continue
			}
			t.Run(fmt.Sprintf("%s %d", point, nth), func(t *testing.T) {
				dir := o.twin(t)
				if !o.killedInPlace(t, dir, point, nth, false) {
					t.Fatal("the point was not reached")
				}
				early := slices.Contains([]string{"journal begun", "pages kept"}, point)
				if early {
					sameState(t, before, state(t, dir))
				}
				unstartable := slices.Contains([]string{"put aside", "files made", "file opened", "files laid", "database laid"}, point)
				if _, err := os.Stat(filepath.Join(dir, "global", "pg_control")); unstartable != errors.Is(err, fs.ErrNotExist) {
					t.Errorf("control file: %v", err)
				}
				rep, err := o.inPlace(t.Context(), dir, backup.RestoreOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if rep.Resumed != (!early && point != "journal done") {
					t.Errorf("resumed: %v", rep.Resumed)
				}
				sameState(t, want, state(t, dir))
				gone(t, dir+restore.UndoSuffix)
			})
		}
	}
	o.check(t, finished)
	for _, point := range append([]string{""}, restore.PointsUndo...) {
		t.Run("taken back, "+point, func(t *testing.T) {
			dir := o.twin(t)
			if !o.killedInPlace(t, dir, "startable", 1, false) {
				t.Fatal("the point was not reached")
			}
			if point != "" && !o.killedInPlace(t, dir, point, 1, true) {
				t.Fatal("the point was not reached")
			}
			if err := backup.UndoRestore(t.Context(), o.holder(), dir, backup.RestoreOptions{Now: time.Now, Own: own(o.c)}, progress.None); err != nil {
				t.Fatal(err)
			}
			sameState(t, before, state(t, dir))
			gone(t, dir+restore.UndoSuffix)
			if err := backup.UndoRestore(t.Context(), o.holder(), dir, backup.RestoreOptions{Now: time.Now}, progress.None); uerr.KindOf(err) != uerr.NotFound {
				t.Errorf("a second time: %v", err)
			}
		})
	}
}

// TestO5_WhatIsRefusedInPlaceIsTakenBack starts the restored database, which changes more than was kept, and then refuses it.
func TestO5_WhatIsRefusedInPlaceIsTakenBack(t *testing.T) {
	o := newOlder(t, 18)
	before := state(t, o.c.Data)
	refused := uerr.New(uerr.Integrity, "check", "the invariants", errors.New("they do not hold"), "")
	_, err := o.inPlace(t.Context(), o.c.Data, backup.RestoreOptions{Prove: func(ctx context.Context, dir string) error {
		if err := o.prove(dir); err != nil {
			return err
		}
		c := startCopy(t, o.c, dir) // more changes: the proof may write, too
		conn, err := c.Connect(ctx, pgcluster.Superuser, database)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, `UPDATE account SET note = 'Probe'; DROP TABLE gone; CREATE TABLE probe AS SELECT generate_series(1, 5000)`, pgx.QueryExecModeSimpleProtocol)
		return errors.Join(err, conn.Close(ctx), c.Stop(ctx), refused)
	}})
	if !errors.Is(err, refused) || uerr.KindOf(err) != uerr.Integrity {
		t.Fatalf("got %v", err)
	}
	sameState(t, before, state(t, o.c.Data))
	gone(t, o.c.Data+restore.UndoSuffix)
}

// TestO5_InPlaceRefusesWhatItWouldRuin: a running database, another one, something that is none, an unfinished other restore.
func TestO5_InPlaceRefusesWhatItWouldRuin(t *testing.T) {
	o := newOlder(t, 15)
	if err := o.c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := o.inPlace(t.Context(), o.c.Data, backup.RestoreOptions{})
	if uerr.KindOf(err) != uerr.Precond || uerr.HintOf(err) == "" {
		t.Errorf("running: %v", err)
	}
	rep := o.run(source(o.c))
	if err := o.c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := testenv.PG(t, 15, testenv.Fresh, testenv.Bootstrapped)
	if err := other.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := state(t, other.Data)
	if _, err := o.inPlace(t.Context(), other.Data, backup.RestoreOptions{}); uerr.KindOf(err) != uerr.LossGuard {
		t.Errorf("another database: %v", err)
	}
	sameState(t, before, state(t, other.Data))
	own := writeFiles(t, 3)
	if _, err := o.inPlace(t.Context(), own, backup.RestoreOptions{}); uerr.KindOf(err) != uerr.LossGuard {
		t.Errorf("somebody's folder: %v", err)
	}
	dir := o.twin(t)
	o.destroy(dir)
	if !o.killedInPlace(t, dir, "files laid", 1, false) {
		t.Fatal("the point was not reached")
	}
	all, err := backup.List(t.Context(), o.holder())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := backup.PlanRestore(t.Context(), o.holder(), backup.Target{Snapshot: all[0].Snapshot.ID, Dir: dir, InPlace: true})
	if err == nil {
		_, err = backup.Restore(t.Context(), plan, backup.RestoreOptions{Now: time.Now}, progress.None)
	}
	if all[0].Snapshot.ID == rep.Snapshot.ID || uerr.KindOf(err) != uerr.LossGuard {
		t.Errorf("another snapshot while one is unfinished: %v", err)
	}
}
