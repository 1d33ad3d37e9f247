package backup_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"practicectl/backup"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// objects lists the keys of a store folder.
func objects(t testing.TB, folder string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			rel, _ := filepath.Rel(folder, path)
			if !strings.HasPrefix(filepath.Base(rel), ".") && !strings.HasPrefix(rel, ".") {
				out = append(out, filepath.ToSlash(rel))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestO4_TamperingIsFoundAndNamed changes, cuts, removes and exchanges every object of a repository, one at a time.
func TestO4_TamperingIsFoundAndNamed(t *testing.T) {
	st, folder := dirStore(t)
	g := newRig(t, st)
	root := writeFiles(t, 5)
	g.run(backup.Source{Paths: []string{root}})
	if err := os.WriteFile(filepath.Join(root, "neu"), bytes.Repeat([]byte("Sitzung\n"), 500), 0o600); err != nil {
		t.Fatal(err)
	}
	g.run(backup.Source{Paths: []string{root}})
	g.verifyAll()
	keys := objects(t, folder)
	if len(keys) < 10 {
		t.Fatalf("only %v", keys)
	}
	for _, key := range keys {
		path := filepath.Join(folder, filepath.FromSlash(key))
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Clone(whole)
		changed[len(changed)/2] ^= 1
		if strings.HasPrefix(key, "i/") {
			continue // the index is no part of a restore; TestO4_ATamperedIndexCostsAnUpload
		}
		for name, data := range map[string][]byte{"changed": changed, "cut": whole[:len(whole)*2/3], "empty": {}, "longer": append(bytes.Clone(whole), 'x'), "removed": nil} {
			_ = os.Chmod(path, 0o600)
			if data == nil {
				err = os.Remove(path)
			} else {
				err = os.WriteFile(path, data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			g.mustNotice(t, key, name)
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	g.verifyAll()
}

// mustNotice wants the keyless verification to name a damaged object, and a restore of all snapshots to fail or to be right.
func (g *rig) mustNotice(t *testing.T, key, how string) {
	t.Helper()
	r, err := backup.Open(t.Context(), g.store, backup.Keys{})
	if err == nil {
		var rep backup.VerifyReport
		if rep, err = backup.Verify(t.Context(), r, backup.VerifyOptions{}, progress.None); err != nil {
			err = uerr.New(uerr.KindOf(err), strings.Join(rep.Problems, "; "), "", err, uerr.HintOf(err))
		}
	}
	if how == "removed" && strings.HasPrefix(key, "s/") {
		return // a snapshot that is gone altogether is not there: object lock is what prevents that
	}
	want := uerr.Integrity
	if how == "removed" && (key == "repo.json" || strings.HasPrefix(key, "r/")) {
		want = uerr.NotFound
	}
	if uerr.KindOf(err) != want || want == uerr.Integrity && !strings.Contains(err.Error(), key) || uerr.HintOf(err) == "" {
		t.Errorf("%s %s: verify says %v (%v)", key, how, err, uerr.KindOf(err))
	}
	if !strings.HasPrefix(key, "p/") {
		return
	}
	// At least one snapshot needs each pack; a restore of it must fail, name the pack, and leave no target.
	failed := 0
	all, _ := backup.List(t.Context(), g.holder())
	for _, s := range all {
		target := filepath.Join(t.TempDir(), "neu")
		_, err := g.tryRestore(t.Context(), s.Snapshot.ID, target, backup.RestoreOptions{})
		if err == nil {
			continue
		}
		failed++
		if uerr.KindOf(err) != uerr.Integrity || !strings.Contains(err.Error(), key) {
			t.Errorf("%s %s: restore says %v", key, how, err)
		}
		if _, err := os.Stat(target); err == nil {
			t.Errorf("%s %s: the target was made", key, how)
		}
	}
	if failed == 0 {
		t.Errorf("%s %s: all snapshots restore without it", key, how)
	}
}

// TestO4_ATamperedIndexCostsAnUpload: the index is a hint, so junk in it stops nothing and misleads nobody.
func TestO4_ATamperedIndexCostsAnUpload(t *testing.T) {
	st, folder := dirStore(t)
	g := newRig(t, st)
	src := backup.Source{Paths: []string{writeFiles(t, 6)}}
	first := g.run(src)
	path := filepath.Join(folder, "i", "praxis-1", "00000001")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	_ = os.Chmod(path, 0o600)
	for name, content := range map[string][]byte{"00000001": data, "00000777": []byte("junk"), "999999999999999999999": []byte("junk"), "zzz": nil} {
		if err := os.WriteFile(filepath.Join(folder, "i", "praxis-1", name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.cache = filepath.Join(t.TempDir(), "new") // else the local copy is good
	if rep := g.run(src); rep.Uploaded < first.Uploaded/2 {
		t.Errorf("%d bytes of %d were stored again", rep.Uploaded, first.Uploaded)
	}
	if rep := g.run(src); rep.Uploaded > 64<<10 {
		t.Errorf("%d bytes were stored a third time", rep.Uploaded)
	}
	g.verifyAll()
}

func TestO4_LostCacheCostsTimeAndNoBytes(t *testing.T) {
	st, _ := dirStore(t)
	g := newRig(t, st)
	src := backup.Source{Paths: []string{writeFiles(t, 7)}}
	g.run(src)
	g.cache = filepath.Join(t.TempDir(), "new")
	if rep := g.run(src); rep.Uploaded > 64<<10 {
		t.Errorf("%d bytes went up again", rep.Uploaded)
	}
}

func TestO4_AForgedSnapshotIsShownAndStopsNothing(t *testing.T) {
	st, folder := dirStore(t)
	g := newRig(t, st)
	src := backup.Source{Paths: []string{writeFiles(t, 14)}}
	first := g.run(src)
	forged := filepath.Join(folder, "s", "praxis-1", "20990101T000000Z-"+strings.Repeat("ab", 16))
	if err := os.WriteFile(forged, []byte("{\"format\":1}\n-- ed25519 AAAA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	second := g.run(src)
	items, err := backup.List(t.Context(), g.holder())
	if uerr.KindOf(err) != uerr.Integrity || len(items) != 3 {
		t.Errorf("%d items, %v", len(items), err)
	}
	// The store took it before the second one, so its name does not make it the latest. One that may be is not passed over.
	if rep := g.restore("latest", filepath.Join(t.TempDir(), "x"), backup.RestoreOptions{}); rep.Snapshot.ID != second.Snapshot.ID {
		t.Errorf("the latest is %s", rep.Key)
	}
	if second.Snapshot.Parent != first.Snapshot.ID || second.Snapshot.Created.Year() == 2099 {
		t.Errorf("the forged snapshot misled the next one: %+v", second.Snapshot)
	}
	now := filepath.Join(folder, "s", "praxis-1", time.Now().Add(time.Minute).UTC().Format("20060102T150405Z")+"-"+strings.Repeat("cd", 16))
	if err := os.WriteFile(now, []byte("{\"format\":1}\n-- ed25519 AAAA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := g.tryRestore(t.Context(), "latest", filepath.Join(t.TempDir(), "x"), backup.RestoreOptions{}); uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("a forged snapshot that is the latest is passed over: %v", err)
	}
	for _, id := range []string{first.Snapshot.ID, second.Snapshot.ID[:8]} {
		g.restore(id, filepath.Join(t.TempDir(), "x"), backup.RestoreOptions{})
	}
}

// TestO4_HostCannotReadItsBackups looks at everything the host has: keys, cache, store.
func TestO4_HostCannotReadItsBackups(t *testing.T) {
	const canary = "Angststörung seit der Kindheit, 7f3a91"
	st, folder := dirStore(t)
	g := newRig(t, st)
	root := writeFiles(t, 8)
	if err := os.WriteFile(filepath.Join(root, "geheimer Name.txt"), []byte(strings.Repeat(canary, 50)), 0o600); err != nil {
		t.Fatal(err)
	}
	g.run(backup.Source{Paths: []string{root}})
	for _, dir := range []string{folder, g.cache, g.cred} {
		for _, name := range objects(t, dir) {
			data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{canary, canary[:12], "geheimer Name", "AGE-SECRET-KEY"} {
				if bytes.Contains(data, []byte(word)) {
					t.Errorf("%s holds %q in the clear", name, word)
				}
			}
			switch {
			case dir != folder:
			case strings.HasPrefix(name, "p/"):
				if !bytes.HasPrefix(data, []byte("age-encryption.org/v1\n")) {
					t.Errorf("%s is no age file", name)
				}
			}
		}
	}
	// With all its keys the host opens neither a snapshot nor a pack.
	_, err := backup.PlanRestore(t.Context(), g.host(), backup.Target{Snapshot: "latest", Dir: filepath.Join(t.TempDir(), "x")})
	if uerr.KindOf(err) != uerr.Auth {
		t.Errorf("the host restores with its own keys: %v", err)
	}
}

func TestO4_WrongIdentityIsRefused(t *testing.T) {
	st, _ := dirStore(t)
	g := newRig(t, st)
	g.run(backup.Source{Paths: []string{writeFiles(t, 9)}})
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	g.identities = []age.Identity{stranger, stranger}
	target := filepath.Join(t.TempDir(), "x")
	_, err = g.tryRestore(t.Context(), "latest", target, backup.RestoreOptions{})
	if uerr.KindOf(err) != uerr.Auth || uerr.HintOf(err) == "" {
		t.Errorf("restore: %v", err)
	}
	if _, err := backup.Verify(t.Context(), g.holder(), backup.VerifyOptions{}, progress.None); uerr.KindOf(err) != uerr.Auth {
		t.Errorf("verify: %v", err)
	}
}

func TestO4_SwappedRecipientsOrRepositoryRaiseAnAlarm(t *testing.T) {
	st, folder := dirStore(t)
	g := newRig(t, st)
	src := backup.Source{Paths: []string{writeFiles(t, 10)}}
	g.run(src)
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	o := g.options()
	o.Recipients = []string{g.recipients[0], stranger.Recipient().String()}
	if _, err := backup.Run(t.Context(), g.host(), src, o, progress.None); uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("a recipient was swapped in the configuration: %v", err)
	}
	// Another repository, whole in itself, takes the place of ours.
	otherStore, otherFolder := dirStore(t)
	newRig(t, otherStore)
	if err := os.Rename(folder, folder+".gone"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(otherFolder, folder); err != nil {
		t.Fatal(err)
	}
	other := reopen(t, folder)
	if _, err := backup.Open(t.Context(), other, g.keys); uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("the store offers another repository: %v", err)
	}
}

func TestInitRefusesWhatWouldLoseBackups(t *testing.T) {
	st, _ := dirStore(t)
	g := newRig(t, st)
	o := backup.SetupOptions{Credentials: t.TempDir(), OwnerKey: filepath.Join(t.TempDir(), "o.pem"), InitOptions: backup.InitOptions{Host: "h", Recipients: g.recipients, Now: time.Now()}}
	if _, err := backup.Setup(t.Context(), st, o); uerr.KindOf(err) != uerr.LossGuard {
		t.Errorf("a second repository in the same store: %v", err)
	}
	fresh, _ := dirStore(t)
	// The interrupted setup above left keys; with an empty store the same call finishes.
	if _, err := backup.Setup(t.Context(), fresh, o); err != nil {
		t.Errorf("an interrupted setup is not finished: %v", err)
	}
	if _, err := backup.Setup(t.Context(), fresh, o); uerr.KindOf(err) != uerr.LossGuard {
		t.Errorf("a second setup of the same host: %v", err)
	}
	for _, recipients := range [][]string{nil, g.recipients[:1], {g.recipients[0], g.recipients[0]}, {g.recipients[0], "age1xyz"}, {g.recipients[0], g.secret(1)}} {
		o := backup.InitOptions{Host: "h", Recipients: recipients, Now: time.Now()}
		if err := backup.CheckInit(o); uerr.ExitCode(err) != 64 && uerr.ExitCode(err) != 65 || strings.Contains(err.Error(), "AGE-SECRET") {
			t.Errorf("%d recipients: %v", len(recipients), err)
		}
	}
	empty, _ := dirStore(t)
	if _, err := backup.Open(t.Context(), empty, backup.Keys{}); uerr.KindOf(err) != uerr.NotFound {
		t.Errorf("an empty store: %v", err)
	}
}
