package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"practicectl/backup"
	"practicectl/backup/custody"
	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/objstore/dir"
	"practicectl/internal/progress"
	"practicectl/internal/sealed"
	"practicectl/internal/testenv"
)

// childRotation makes this test binary rotate keys and die at a write.
const childRotation = "PRACTICE_TEST_ROTATION"

type rotationJob struct {
	Store, Owner, Identity string
	Add, Remove            []string
	Nth                    int64 // write after which it kills itself
}

// deadly kills its process when the nth write is done.
type deadly struct {
	objstore.Store
	left atomic.Int64
}

func (d *deadly) Put(ctx context.Context, key string, r io.Reader, size int64, o objstore.PutOptions) (objstore.Info, error) {
	info, err := d.Store.Put(ctx, key, r, size, o)
	if d.left.Add(-1) == 0 {
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			_ = self.Kill()
			time.Sleep(time.Minute)
		}
	}
	return info, err
}

func rotateAndDie(text string) error {
	var j rotationJob
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	st, err := dir.Open(j.Store)
	if err != nil {
		return err
	}
	ids, err := age.ParseIdentities(strings.NewReader(j.Identity))
	if err != nil {
		return err
	}
	owner, err := backup.LoadOwner(j.Owner)
	if err != nil {
		return err
	}
	d := &deadly{Store: st}
	d.left.Store(j.Nth)
	r, err := backup.Open(context.Background(), d, backup.Keys{Identities: ids})
	if err != nil {
		return err
	}
	plan, err := custody.NewPlan(r, custody.Change{Add: j.Add, Remove: j.Remove, Owner: owner, Now: time.Now()})
	if err != nil {
		return err
	}
	_, err = custody.Rotate(context.Background(), r, plan, custody.RotateOptions{Clock: time.Now}, progress.None)
	return err
}

// TestO4_AKilledRotationLeavesOneSideThatRestores kills a rotation by kill -9 after each of its writes.
func TestO4_AKilledRotationLeavesOneSideThatRestores(t *testing.T) {
	st, folder := dirStore(t)
	g := newRig(t, st)
	g.run(backup.Source{Paths: []string{writeFiles(t, 41)}})
	fresh := newKeys(t, 2)
	for n := int64(1); ; n++ {
		path := filepath.Join(t.TempDir(), "store")
		if err := os.CopyFS(path, os.DirFS(folder)); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(rotationJob{Store: path, Owner: g.owner, Identity: g.secret(0), Add: recipientsOf(fresh), Remove: g.recipients, Nth: n})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childRotation+"="+string(text))
		out, err := cmd.CombinedOutput()
		if err != nil && cmd.ProcessState.ExitCode() >= 0 {
			t.Fatalf("the child failed by itself: %v\n%s", err, out)
		}
		killed, st := err != nil, reopen(t, path)
		g.oneSideRestores(st, fresh)
		if _, err := g.rotate(t.Context(), st, g.recipients, fresh, g.identities[0]); err != nil {
			t.Fatalf("killed after write %d, and the next rotation failed: %v", n, err)
		}
		if err := restoresAll(t.Context(), st, fresh[1].id); err != nil {
			t.Fatalf("killed after write %d: %v", n, err)
		}
		if !killed {
			if n < 3 {
				t.Errorf("it was killed only %d times", n-1)
			}
			return
		}
	}
}

// slowReads holds each read until many are under way, or for a while, and counts them and their bytes.
type slowReads struct {
	objstore.Store
	now, most, bytes atomic.Int64
}

func (s *slowReads) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	now := s.now.Add(1)
	defer s.now.Add(-1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	time.Sleep(50 * time.Millisecond) // the way to the store and back
	if n > 0 {
		s.bytes.Add(n)
	}
	return s.Store.Get(ctx, key, off, n)
}

// TestO4_ARotationReadsHeadersOnlyManyAtOnce goes to a locking S3 server over a long line: more than 50 headers are under way at once, little
// of each object is read, and what it stores is locked.
func TestO4_ARotationReadsHeadersOnlyManyAtOnce(t *testing.T) {
	server := testenv.S3(t)
	st := server.Open(t, server.NewBucket(t, true), "praxis/main")
	g := newRigWith(t, st, backup.InitOptions{ObjectLock: true})
	g.run(backup.Source{Paths: []string{writeFiles(t, 42)}})
	for i := range 150 { // packs of runs that did not commit
		data, err := sealed.SealBytes(fmt.Appendf(incompressible(20<<10), "%d", i), g.host().Recipients...)
		if err == nil {
			err = repo.Create(t.Context(), st, repo.PackPrefix+repo.DocumentSum(data), data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	slow, fresh := &slowReads{Store: st}, newKeys(t, 2)
	rep, err := g.rotate(t.Context(), slow, g.recipients, fresh, g.identities[1])
	if err != nil {
		t.Fatal(err)
	}
	if rep.Headers < 150 {
		t.Fatalf("%d headers were read", rep.Headers)
	}
	if most := slow.most.Load(); most < 50 {
		t.Errorf("at most %d reads were under way", most)
	}
	if each := slow.bytes.Load() / int64(rep.Headers); each > 1500 {
		t.Errorf("%d bytes of each object were read", each)
	}
	if rep.Uploaded > int64(rep.HandedOn)*100+8<<10 {
		t.Errorf("%d bytes were uploaded for %d objects", rep.Uploaded, rep.HandedOn)
	}
	for info, err := range st.List(t.Context(), "k/") {
		if err != nil {
			t.Fatal(err)
		}
		if info, err = st.Stat(t.Context(), info.Key); err != nil || info.RetainUntil.IsZero() {
			t.Errorf("%s is not locked: %v", info.Key, err)
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%+v", rep)
	if strings.Contains(b.String(), "AGE-SECRET") {
		t.Error("a report shows a key")
	}
	if err := restoresAll(t.Context(), st, fresh[0].id); err != nil {
		t.Error(err)
	}
}
