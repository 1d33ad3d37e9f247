package backup_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"filippo.io/age"

	"practicectl/backup"
	"practicectl/backup/retain"
	"practicectl/internal/objstore"
	"practicectl/internal/objstore/dir"
	"practicectl/internal/progress"
)

// childJob makes this test binary take one snapshot and die in the middle.
const childJob = "PRACTICE_TEST_BACKUP_JOB"

// smallPack makes several packs of little data.
const smallPack = 256 << 10

// job is what a child does.
type job struct {
	Store, Cred, Cache string
	Recipients         []string
	Source             backup.Source
	Point              string // where it kills itself
	Nth                int    // at which call with that point
	Prune              bool   // it prunes in place of taking a snapshot
	Restore            *restoreJob
	Stream             string // it streams the log of the source with this folder, until it is killed
}

// restoreJob is a restore in place of a backup.
type restoreJob struct {
	Identity, Target string
	InPlace, Undo    bool
	UID, GID         int
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childJob); text != "" {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if text := os.Getenv(childRotation); text != "" {
		if err := rotateAndDie(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	keys, err := backup.LoadKeys(j.Cred)
	if err != nil {
		return err
	}
	st, err := dir.Open(j.Store)
	if err != nil {
		return err
	}
	r, err := backup.Open(context.Background(), st, keys)
	if err != nil {
		return err
	}
	if j.Stream != "" {
		return backup.Stream(context.Background(), r, j.Recipients, backup.StreamOptions{ConnString: j.Source.Database.ConnString, Dir: j.Stream, Now: time.Now, Piece: 64 << 10})
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	crash := func(point string) {
		if point != j.Point {
			return
		}
		if j.Nth--; j.Nth <= 0 {
			_ = self.Kill()
			time.Sleep(time.Minute)
		}
	}
	if j.Prune {
		plan, err := backup.PlanPrune(context.Background(), r, backup.PruneOptions{Policy: retain.Policy{Daily: 3, Weekly: 2, Least: day}, Log: 3 * day, Now: time.Now, Accept: retain.DoubtNames, Crash: crash})
		if err == nil {
			_, err = plan.Run(context.Background(), progress.None)
		}
		return err
	}
	if j.Restore != nil {
		return j.Restore.run(st, crash)
	}
	_, err = backup.Run(context.Background(), r, j.Source, backup.RunOptions{Cache: j.Cache, Recipients: j.Recipients, PackSize: smallPack, Now: time.Now, Crash: crash}, progress.None)
	return err
}

func (j *restoreJob) run(st objstore.Store, crash func(string)) error {
	id, err := age.ParseX25519Identity(j.Identity)
	if err != nil {
		return err
	}
	r, err := backup.Open(context.Background(), st, backup.Keys{Identities: []age.Identity{id}})
	if err != nil {
		return err
	}
	o := backup.RestoreOptions{Now: time.Now, Crash: crash}
	if j.UID != 0 {
		o.Own = func(path string) error { return os.Lchown(path, j.UID, j.GID) }
	}
	if j.Undo {
		return backup.UndoRestore(context.Background(), r, j.Target, o, progress.None)
	}
	plan, err := backup.PlanRestore(context.Background(), r, backup.Target{Snapshot: "latest", Dir: j.Target, InPlace: j.InPlace})
	if err == nil {
		_, err = backup.Restore(context.Background(), plan, o, progress.None)
	}
	return err
}

// killed runs j in a process of its own and tells whether it was killed.
func killed(t *testing.T, j job) bool {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childJob+"="+string(text))
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState.ExitCode() >= 0 {
		t.Fatalf("the child failed by itself: %v\n%s", err, out)
	}
	return err != nil
}
