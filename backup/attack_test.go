package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"practicectl/backup"
	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// The adversary has everything that the backed-up host has: credentials of the store with every right on the bucket, the signing
// key, the index key, the recipients, the program. The store is a real server with object lock. After each attack the holder of
// an identity and of the owner's public key, who has nothing else, must find every snapshot from before it and restore the last.

// attacked is a repository with two snapshots, and what the attacker can reach.
type attacked struct {
	*rig
	bucket  string
	s3      *minio.Client
	raw     objstore.Store // the store as the attacker uses it
	src     backup.Source
	before  []backup.Report
	objects []objstore.Info // before the attack
}

// attackPack makes a pack of each frame.
const attackPack = 4 << 10

func newAttacked(t *testing.T, server *testenv.S3Server) *attacked {
	t.Helper()
	return newAttackedOf(t, server, 600<<10)
}

// newAttackedOf has so many bytes of files.
func newAttackedOf(t *testing.T, server *testenv.S3Server, size int) *attacked {
	t.Helper()
	a := &attacked{bucket: server.NewBucket(t, true)}
	a.raw = server.Open(t, a.bucket, "praxis")
	a.rig = newRigWith(t, a.raw, backup.InitOptions{ObjectLock: true})
	a.packSize = attackPack
	var err error
	a.s3, err = minio.New(strings.TrimPrefix(server.Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4(server.AccessKey, server.SecretKey, "")})
	if err != nil {
		t.Fatal(err)
	}
	p := &pruneRig{rig: a.rig, src: backup.Source{Paths: []string{t.TempDir()}}}
	a.src = p.src
	p.write("akten", 1, size)
	a.before = append(a.before, a.run(a.src))
	p.write("neu", 2, 50<<10)
	a.before = append(a.before, a.run(a.src))
	for info, err := range a.raw.AllVersions(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		a.objects = append(a.objects, info)
	}
	return a
}

// keysUnder are the keys under a prefix before the attack.
func (a *attacked) keysUnder(prefix string) []string {
	var out []string
	for _, o := range a.objects {
		if strings.HasPrefix(o.Key, prefix) {
			out = append(out, o.Key)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// put stores bytes over whatever is there. What the store refuses is no success of the attack.
func (a *attacked) put(key string, data []byte) {
	_, _ = a.raw.Put(context.WithoutCancel(a.t.Context()), key, bytes.NewReader(data), int64(len(data)), objstore.PutOptions{})
}

func (a *attacked) get(key string) []byte {
	a.t.Helper()
	data, err := repo.ReadObject(a.t.Context(), a.raw, key, 1<<30)
	if err != nil {
		a.t.Fatal(err)
	}
	return data
}

// victim opens the repository as the practice does after the disaster: an identity, the owner's public key, and nothing else.
func (a *attacked) victim() (*backup.Repo, error) {
	owner, err := backup.OwnerOf(a.owner)
	if err != nil {
		return nil, err
	}
	return backup.Open(a.t.Context(), a.raw, backup.Keys{Identities: a.identities[1:2], Owner: owner})
}

// withstood proves that nothing was lost and nothing can be read.
func (a *attacked) withstood() {
	a.t.Helper()
	r, err := a.victim()
	if err != nil {
		a.t.Fatalf("the repository does not open: %v", err)
	}
	items, err := backup.List(a.t.Context(), r)
	if err != nil && uerr.KindOf(err) != uerr.Integrity { // what the attacker left among the snapshots is told
		a.t.Fatal(err)
	}
	for _, old := range a.before {
		i := slices.IndexFunc(items, func(i backup.Item) bool { return i.Key == old.Key })
		if i < 0 || items[i].Snapshot == nil || items[i].Snapshot.Root != old.Snapshot.Root {
			a.t.Errorf("snapshot %s is lost", old.Key)
		}
	}
	for i, old := range a.before {
		target := filepath.Join(a.t.TempDir(), fmt.Sprint("restored-", i))
		plan, err := backup.PlanRestore(a.t.Context(), r, backup.Target{Snapshot: old.Snapshot.ID, Dir: target})
		if err == nil {
			_, err = backup.Restore(a.t.Context(), plan, backup.RestoreOptions{Now: time.Now}, progress.None)
		}
		if err != nil {
			a.t.Errorf("restore of %s: %v", old.Key, err)
			continue
		}
		if i == len(a.before)-1 {
			sameTree(a.t, a.src.Paths[0], filepath.Join(target, "files", a.src.Paths[0]))
		}
	}
	a.unreadable()
}

// unreadable proves that the host's keys open nothing of what was stored before.
func (a *attacked) unreadable() {
	a.t.Helper()
	host, err := backup.Open(a.t.Context(), a.raw, backup.Keys{Signing: a.keys.Signing, Index: a.keys.Index})
	if err != nil {
		return // the attacker destroyed his own way in
	}
	for _, old := range a.before {
		if _, err := backup.PlanRestore(a.t.Context(), host, backup.Target{Snapshot: old.Snapshot.ID, Dir: filepath.Join(a.t.TempDir(), "x")}); err == nil {
			a.t.Error("the host's keys open an old snapshot")
		}
	}
}

// attack is one way to do harm.
type attack struct {
	name string
	do   func(a *attacked)
	// next is what the next honest backup must do: succeed, unless an alarm is named.
	alarm uerr.Kind
}

// withstand carries out each attack on a repository of its own.
func withstand(t *testing.T, attacks []attack) {
	server := testenv.S3(t)
	for _, one := range attacks {
		t.Run(one.name, func(t *testing.T) {
			a := newAttacked(t, server)
			one.do(a)
			a.withstood()
			r, err := backup.Open(t.Context(), a.raw, a.keys)
			if err == nil {
				_, err = backup.Run(t.Context(), r, a.src, a.options(), progress.None)
			}
			if one.alarm != 0 && uerr.KindOf(err) != one.alarm || one.alarm == 0 && err != nil {
				t.Errorf("the next backup: %v", err)
			}
			a.withstood()
		})
	}
}

// deleteForGood tries to remove every version of the objects under a prefix, with the right to bypass whatever can be bypassed.
func (a *attacked) deleteForGood(prefix string) (gone int) {
	for _, o := range a.objects {
		if !strings.HasPrefix(o.Key, prefix) {
			continue
		}
		err := a.s3.RemoveObject(a.t.Context(), a.bucket, "praxis/"+o.Key, minio.RemoveObjectOptions{VersionID: o.Version, GovernanceBypass: true})
		if err == nil {
			gone++
		}
	}
	return gone
}

func (a *attacked) hide(prefix string) {
	a.t.Helper()
	for _, key := range a.keysUnder(prefix) {
		if err := a.raw.Delete(a.t.Context(), key); err != nil && !errors.Is(err, objstore.ErrAuth) {
			a.t.Fatal(err)
		}
	}
}

// overwrite puts other bytes over the objects under a prefix.
func (a *attacked) overwrite(prefix string, change func(old []byte) []byte) {
	a.t.Helper()
	for _, key := range a.keysUnder(prefix) {
		a.put(key, change(a.get(key)))
	}
}

func flipped(old []byte) []byte {
	out := bytes.Clone(old)
	out[len(out)/2] ^= 1
	return out
}
