package backup_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"practicectl/backup"
	"practicectl/backup/custody"
	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// key is an identity with its recipient.
type key struct {
	id        age.Identity
	recipient string
}

func newKeys(t testing.TB, n int) []key {
	t.Helper()
	out := make([]key, n)
	for i := range out {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		out[i] = key{id, id.Recipient().String()}
	}
	return out
}

func recipientsOf(keys []key) []string {
	var out []string
	for _, k := range keys {
		out = append(out, k.recipient)
	}
	return out
}

// rotate removes the recipients old and adds those of keys, with identities that open the repository so far.
func (g *rig) rotate(ctx context.Context, st objstore.Store, old []string, add []key, identities ...age.Identity) (custody.Report, error) {
	g.t.Helper()
	r, err := backup.Open(ctx, st, backup.Keys{Identities: identities})
	if err != nil {
		return custody.Report{}, err
	}
	plan, err := custody.NewPlan(r, g.change(recipientsOf(add), old))
	if err != nil {
		return custody.Report{}, err
	}
	return custody.Rotate(ctx, r, plan, custody.RotateOptions{Clock: time.Now}, progress.None)
}

func (g *rig) change(add, remove []string) custody.Change {
	g.t.Helper()
	owner, err := backup.LoadOwner(g.owner)
	if err != nil {
		g.t.Fatal(err)
	}
	return custody.Change{Add: add, Remove: remove, Owner: owner, Now: time.Now()}
}

// accept makes the host take the owner's newest settings over.
func (g *rig) accept() {
	g.t.Helper()
	a, err := backup.PlanAccept(g.t.Context(), g.store, g.cred, g.recipients, nil)
	if err == nil {
		err = a.Accept(g.cred, func(recipients []string) error { g.recipients = recipients; return nil })
	}
	if err == nil {
		g.keys, err = backup.LoadKeys(g.cred)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// restoresAll opens every page of every snapshot with nothing but ids, as a restore would.
func restoresAll(ctx context.Context, st objstore.Store, ids ...age.Identity) error {
	r, err := backup.Open(ctx, st, backup.Keys{Identities: ids})
	if err != nil {
		return err
	}
	rep, err := backup.Verify(ctx, r, backup.VerifyOptions{}, progress.None)
	if err == nil && (!rep.Opened || rep.Snapshots == 0) {
		return fmt.Errorf("nothing was opened: %+v", rep)
	}
	return err
}

// incompressible bytes fill more than one small pack.
func incompressible(n int) []byte {
	out := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(out)
	return out
}

// rewrite changes a file below root, so that the next snapshot has something new.
func rewrite(t testing.TB, root, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(root, "neu"), []byte(strings.Repeat(text+"\n", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestO4_ARotationHandsEverythingOn replaces all identities at once: the new ones restore every snapshot, old and new, and the old
// ones nothing that is stored from then on.
func TestO4_ARotationHandsEverythingOn(t *testing.T) {
	st, folder := dirStore(t)
	g := newRig(t, st)
	g.packSize = smallPack
	root := writeFiles(t, 21)
	src := backup.Source{Paths: []string{root}}
	for i := range 3 {
		rewrite(t, root, fmt.Sprint("vor dem Wechsel ", i))
		g.run(src)
	}
	before := objectsIn(t, folder)
	old, fresh := slices.Clone(g.recipients), newKeys(t, 2)
	rep, err := g.rotate(t.Context(), st, old, fresh, g.identities[0])
	if err != nil {
		t.Fatal(err)
	}
	if rep.Generation != 2 || rep.HandedOn < 10 || rep.Headers > rep.HandedOn || rep.Uploaded > 16<<10 || rep.Fingerprint == "" {
		t.Errorf("%+v", rep)
	}
	after := objectsIn(t, folder)
	for name, size := range before {
		if after[name] != size {
			t.Errorf("%s was %d bytes and is %d", name, size, after[name])
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok && !strings.HasPrefix(name, "k/") && name != "r/00000002" {
			t.Errorf("the rotation stored %s", name)
		}
	}
	for _, k := range fresh {
		if err := restoresAll(t.Context(), st, k.id); err != nil {
			t.Errorf("a new identity alone: %v", err)
		}
	}
	// The host notices, and goes on when its administrator accepts.
	_, err = backup.Run(t.Context(), g.host(), src, g.options(), progress.None)
	if uerr.KindOf(err) != uerr.Integrity || !strings.Contains(uerr.HintOf(err), "key accept") {
		t.Errorf("the recipients changed and the run said %v", err)
	}
	g.accept()
	rewrite(t, root, "nach dem Wechsel")
	g.run(src)
	if err := restoresAll(t.Context(), st, fresh[1].id); err != nil {
		t.Errorf("after the next run: %v", err)
	}
	if err := restoresAll(t.Context(), st, g.identities[0]); uerr.KindOf(err) != uerr.Auth {
		t.Errorf("the old identity opens what is new: %v", err)
	}
	// A second rotation needs only an identity of the first, and reads no header twice.
	again, err := g.rotate(t.Context(), st, nil, newKeys(t, 1), fresh[0].id)
	if err != nil || again.HandedOn <= rep.HandedOn || again.Headers > again.HandedOn-rep.HandedOn {
		t.Errorf("%+v, %v", again, err)
	}
}

// objectsIn lists a folder store: names and sizes.
func objectsIn(t testing.TB, folder string) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for info, err := range reopen(t, folder).List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		out[info.Key] = info.Size
	}
	return out
}

func TestO4_AnAddedRecipientOpensWhatComesThen(t *testing.T) {
	st, _ := dirStore(t)
	g := newRig(t, st)
	root := writeFiles(t, 22)
	g.run(backup.Source{Paths: []string{root}})
	fresh := newKeys(t, 1)[0]
	r := g.host() // the index key is the host's: no identity is needed
	plan, err := custody.NewPlan(r, g.change([]string{fresh.recipient}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if rep, err := custody.Add(t.Context(), r, plan); err != nil || rep.Generation != 2 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if err := restoresAll(t.Context(), st, fresh.id); uerr.KindOf(err) != uerr.Auth {
		t.Errorf("the past is open: %v", err)
	}
	if err := restoresAll(t.Context(), st, g.identities[1]); err != nil {
		t.Errorf("an old identity: %v", err)
	}
	g.accept()
	other := t.TempDir() // shares nothing with what is stored
	rewrite(t, other, "nur hier")
	rep := g.run(backup.Source{Paths: []string{other}})
	holder, err := backup.Open(t.Context(), st, backup.Keys{Identities: []age.Identity{fresh.id}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Verify(t.Context(), holder, backup.VerifyOptions{Snapshot: rep.Snapshot.ID}, progress.None); err != nil {
		t.Errorf("what came then: %v", err)
	}
	if _, err := custody.Check(t.Context(), holder, custody.CheckOptions{Pick: func(int) int { return 0 }}, progress.None); uerr.KindOf(err) != uerr.Auth || !strings.Contains(uerr.HintOf(err), "key rotate") {
		t.Errorf("the check says %v", err)
	}
	// A rotation that changes nobody hands the past on.
	if rep, err := g.rotate(t.Context(), st, nil, nil, g.identities[0]); err != nil || rep.Generation != 3 || rep.HandedOn == 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if err := restoresAll(t.Context(), st, fresh.id); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
	if rep, err := g.rotate(t.Context(), st, nil, nil, fresh.id); err != nil || rep.Generation != 3 || rep.Uploaded != 0 {
		t.Errorf("there was nothing to hand on: %+v, %v", rep, err)
	}
}

// TestO4_ARotationMayFailAnywhere lets each request of a rotation fail, before it is done and with its answer lost. Whatever happens,
// the identities of the settings in force restore everything, and the same call then finishes.
func TestO4_ARotationMayFailAnywhere(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("answer lost %v", late), func(t *testing.T) {
			st, folder := dirStore(t)
			g := newRig(t, st)
			g.packSize = smallPack
			g.run(backup.Source{Paths: []string{writeFiles(t, 24)}})
			fresh := newKeys(t, 2)
			requests := 0
			for n := int64(1); ; n++ {
				st := copyStore(t, folder)
				f := &flaky{Store: st, nth: n, late: late}
				_, err := g.rotate(t.Context(), f, g.recipients, fresh, g.identities[0])
				if !f.failed.Load() {
					if err != nil {
						t.Fatal(err)
					}
					break
				}
				requests++
				if uerr.KindOf(err) != uerr.Unreachable || uerr.HintOf(err) == "" {
					t.Fatalf("request %d failed: %v", n, err)
				}
				g.oneSideRestores(st, fresh)
				if _, err = g.rotate(t.Context(), st, g.recipients, fresh, g.identities[0]); err != nil {
					t.Fatalf("request %d failed, and the next rotation did too: %v", n, err)
				}
				if err := restoresAll(t.Context(), st, fresh[0].id); err != nil {
					t.Fatalf("request %d failed, and after the next rotation: %v", n, err)
				}
			}
			if requests < 20 {
				t.Errorf("only %d requests failed", requests)
			}
		})
	}
}

// oneSideRestores checks that the identities of the settings in force restore everything, each alone.
func (g *rig) oneSideRestores(st objstore.Store, fresh []key) {
	g.t.Helper()
	r, err := backup.Open(g.t.Context(), st, backup.Keys{})
	if err != nil {
		g.t.Fatal(err)
	}
	inForce := g.identities
	if slices.Contains(r.Settings.Recipients, fresh[0].recipient) {
		inForce = []age.Identity{fresh[0].id, fresh[1].id}
	}
	for _, id := range inForce {
		if err := restoresAll(g.t.Context(), st, id); err != nil {
			g.t.Fatalf("generation %d: %v", r.Settings.Generation, err)
		}
	}
}

func copyStore(t testing.TB, folder string) objstore.Store {
	t.Helper()
	path := t.TempDir()
	if err := os.CopyFS(path, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	return reopen(t, path)
}

// during calls back when an object is put, once.
type during struct {
	objstore.Store
	prefix string
	before func()
	done   atomic.Bool
}

func (d *during) Put(ctx context.Context, key string, r io.Reader, size int64, o objstore.PutOptions) (objstore.Info, error) {
	if strings.HasPrefix(key, d.prefix) && !d.done.Swap(true) {
		d.before()
	}
	return d.Store.Put(ctx, key, r, size, o)
}

// TestO4_ABackupDuringARotationIsHandedOnToo commits a snapshot after the rotation read everything and before it is in force.
func TestO4_ABackupDuringARotationIsHandedOnToo(t *testing.T) {
	st, _ := dirStore(t)
	g := newRig(t, st)
	root := writeFiles(t, 25)
	src := backup.Source{Paths: []string{root}}
	g.run(src)
	fresh := newKeys(t, 2)
	d := &during{Store: st, prefix: repo.SettingsPrefix, before: func() {
		rewrite(t, root, "während des Wechsels")
		g.run(src)
	}}
	rep, err := g.rotate(t.Context(), d, slices.Clone(g.recipients), fresh, g.identities[1])
	if err != nil || rep.Generation != 3 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if err := restoresAll(t.Context(), st, fresh[0].id); err != nil {
		t.Error(err)
	}
}

// TestO4_ABackupThatARotationOvertookIsNotCommitted rotates in the middle of a run. Neither that run nor the next makes a snapshot that
// needs an old and a new identity.
func TestO4_ABackupThatARotationOvertookIsNotCommitted(t *testing.T) {
	st, _ := dirStore(t)
	g := newRig(t, st)
	g.packSize = smallPack
	root := writeFiles(t, 26)
	src := backup.Source{Paths: []string{root}}
	g.run(src)
	if err := os.WriteFile(filepath.Join(root, "groß/neu.bin"), incompressible(2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := newKeys(t, 2)
	o := g.options()
	rotated := false
	o.Crash = func(point string) {
		if point == "started" {
			_, err := g.rotate(t.Context(), st, slices.Clone(g.recipients), fresh, g.identities[1])
			if err != nil {
				t.Error(err)
			}
			rotated = true
		}
	}
	_, err := backup.Run(t.Context(), g.host(), src, o, progress.None)
	if !rotated || uerr.KindOf(err) != uerr.Precond || uerr.HintOf(err) == "" {
		t.Fatalf("rotated %v, and the run said %v", rotated, err)
	}
	g.accept()
	g.run(src)
	if err := restoresAll(t.Context(), st, fresh[0].id); err != nil {
		t.Errorf("a new identity: %v", err)
	}
}

// TestO4_ARotationRefuses names what is wrong, before it stores anything.
func TestO4_ARotationRefuses(t *testing.T) {
	st, folder := dirStore(t)
	g := newRig(t, st)
	g.run(backup.Source{Paths: []string{writeFiles(t, 27)}})
	stranger, err := repo.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	pq, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	good := newKeys(t, 1)[0].recipient
	r := g.holder()
	for name, c := range map[string]struct {
		change custody.Change
		kind   uerr.Kind
	}{
		"another owner":  {custody.Change{Add: []string{good}, Owner: stranger, Now: time.Now()}, uerr.Auth},
		"one left":       {g.change(nil, g.recipients[:1]), uerr.Config},
		"never there":    {g.change(nil, []string{good}), uerr.Usage},
		"no recipient":   {g.change([]string{"age1x"}, nil), uerr.Config},
		"mixed kinds":    {g.change([]string{pq.Recipient().String()}, nil), uerr.Config},
		"an identity":    {g.change([]string{newKeys(t, 1)[0].id.(*age.X25519Identity).String()}, nil), uerr.Config},
		"one kept of pq": {g.change([]string{pq.Recipient().String()}, g.recipients[:1]), uerr.Config},
	} {
		if _, err := custody.NewPlan(r, c.change); uerr.KindOf(err) != c.kind || uerr.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	before := objectsIn(t, folder)
	if _, err := g.rotate(t.Context(), st, g.recipients[:1], newKeys(t, 1), newKeys(t, 1)[0].id); uerr.KindOf(err) != uerr.Auth || uerr.HintOf(err) == "" {
		t.Errorf("an identity of nobody: %v", err)
	}
	if after := objectsIn(t, folder); len(after) != len(before) {
		t.Errorf("it stored something: %v", after)
	}
}

// TestO4_ARotationIsNotStoppedByRubbish: whoever can write to the store must not be able to stop a rotation.
func TestO4_ARotationIsNotStoppedByRubbish(t *testing.T) {
	st, _ := dirStore(t)
	g := newRig(t, st)
	g.run(backup.Source{Paths: []string{writeFiles(t, 28)}})
	rubbish := []string{"p/" + strings.Repeat("ab", 32), "s/praxis-1/20200101T000000Z-" + strings.Repeat("0", 32), "w/1/00000001/x", "q/unknown", "k/" + strings.Repeat("cd", 32)}
	for i, name := range rubbish {
		if err := repo.Create(t.Context(), st, name, []byte(strings.Repeat("rubbish\n", i))); err != nil {
			t.Fatal(err)
		}
	}
	fresh := newKeys(t, 1)
	done, err := g.rotate(t.Context(), st, g.recipients[:1], fresh, g.identities[0])
	if err != nil || len(done.Left) != 3 {
		t.Fatalf("%+v, %v", done, err)
	}
	for _, name := range rubbish {
		if err := st.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := restoresAll(t.Context(), st, fresh[0].id); err != nil {
		t.Error(err)
	}
}

// TestO4_ARotationNamesDamage: a pack that a snapshot needs is damaged in its header.
func TestO4_ARotationNamesDamage(t *testing.T) {
	st, folder := dirStore(t)
	g := newRig(t, st)
	rep := g.run(backup.Source{Paths: []string{writeFiles(t, 29)}})
	pack := filepath.Join(folder, filepath.FromSlash(rep.Snapshot.Packs[0].ID.Key()))
	data, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	mac := bytes.Index(data, []byte("\n--- ")) + 10 // the checksum of the header
	data[mac] ^= 1
	if err := os.WriteFile(pack, data, 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := newKeys(t, 1)
	_, err = g.rotate(t.Context(), st, nil, fresh, g.identities[1])
	if uerr.KindOf(err) != uerr.Integrity || !strings.Contains(err.Error(), rep.Snapshot.Packs[0].ID.String()) || !strings.Contains(uerr.HintOf(err), "--leave-damaged") {
		t.Errorf("a damaged pack: %v", err)
	}
	plan, err := custody.NewPlan(g.holder(), g.change(recipientsOf(fresh), nil))
	if err != nil {
		t.Fatal(err)
	}
	done, err := custody.Rotate(t.Context(), g.holder(), plan, custody.RotateOptions{Clock: time.Now, LeaveDamaged: true}, progress.None)
	if err != nil || !slices.Equal(done.Left, []string{rep.Snapshot.Packs[0].ID.Key()}) {
		t.Errorf("left %v, %v", done.Left, err)
	}
}
