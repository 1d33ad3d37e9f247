package backup_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"practicectl/backup"
	"practicectl/backup/custody"
	"practicectl/internal/progress"
	"practicectl/internal/sealed"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// TestO5_RestoreByHandAfterARotation opens what an identity never was a recipient of with the plain age program and the keyring, and what
// a post-quantum one gets with an age that knows it.
func TestO5_RestoreByHandAfterARotation(t *testing.T) {
	st, folder := dirStore(t)
	g := newRig(t, st)
	root := writeFiles(t, 31)
	src := backup.Source{Paths: []string{root}}
	first := g.run(src)
	fresh := newKeys(t, 2)
	if _, err := g.rotate(t.Context(), st, slices.Clone(g.recipients), fresh, g.identities[0]); err != nil {
		t.Fatal(err)
	}
	g.accept()
	rewrite(t, root, "nach dem Wechsel")
	second := g.run(src)
	pq := []key{postQuantum(t), postQuantum(t)}
	if _, err := g.rotate(t.Context(), st, recipientsOf(fresh), pq, fresh[1].id); err != nil {
		t.Fatal(err)
	}
	if err := restoresAll(t.Context(), st, pq[0].id); err != nil {
		t.Fatalf("from classic to post-quantum: %v", err)
	}
	// Without the third generation, so that the plain age of Debian has the keyring of the second.
	classicFolder := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(classicFolder, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(classicFolder, "r", "00000003")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		age, folder, snapshot string
		id                    age.Identity
	}{
		"the first snapshot, a later identity":  {ageProgram(t), classicFolder, first.Key, fresh[0].id},
		"the second snapshot, that identity":    {ageProgram(t), classicFolder, second.Key, fresh[1].id},
		"the first snapshot, post-quantum":      {newAge(t), folder, first.Key, pq[0].id},
		"the second snapshot, post-quantum":     {newAge(t), folder, second.Key, pq[1].id},
		"the first snapshot, a former identity": {ageProgram(t), folder, first.Key, g.identities[0]},
	} {
		t.Run(name, func(t *testing.T) {
			target := filepath.Join(t.TempDir(), "kopie")
			restoreByHand(t, c.age, c.folder, c.snapshot, identityFile(t, fmt.Sprint(c.id)), target)
			want, _ := os.ReadFile(filepath.Join(root, "groß/bild.bin"))
			got, err := os.ReadFile(filepath.Join(target, "files", root, "groß/bild.bin"))
			if err != nil || string(got) != string(want) {
				t.Errorf("a file differs: %v", err)
			}
		})
	}
}

func postQuantum(t testing.TB) key {
	t.Helper()
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return key{id, id.Recipient().String()}
}

// rigFor is newRig with recipients of the caller's.
func rigFor(t testing.TB, recipients ...key) *rig {
	t.Helper()
	st, _ := dirStore(t)
	g := newRigWith(t, st, backup.InitOptions{Recipients: recipientsOf(recipients)})
	for _, k := range recipients {
		g.identities = append(g.identities, k.id)
	}
	return g
}

// TestO4_APostQuantumRepository goes from init to the restored database with post-quantum keys only.
func TestO4_APostQuantumRepository(t *testing.T) {
	g := rigFor(t, postQuantum(t), postQuantum(t))
	c := testenv.PG(t, 15, testenv.Bootstrapped)
	conn := connect(t, c)
	fill(t, conn, 500)
	etc := writeFiles(t, 32)
	g.run(source(c, etc))
	want := dump(t, conn)
	target := restoreFolder(t, c)
	g.restore("latest", target, backup.RestoreOptions{Own: own(c)})
	sameRows(t, want, dump(t, connect(t, startCopy(t, c, filepath.Join(target, "pg")))))
	fresh := postQuantum(t)
	if _, err := g.rotate(t.Context(), g.store, g.recipients[:1], []key{fresh}, g.identities[0]); err != nil {
		t.Fatal(err)
	}
	if err := restoresAll(t.Context(), g.store, fresh.id); err != nil {
		t.Error(err)
	}
	if _, err := custody.NewPlan(g.holder(), g.change(recipientsOf(newKeys(t, 1)), nil)); uerr.KindOf(err) != uerr.Config {
		t.Errorf("a classic key beside them: %v", err)
	}
}

// TestO4_APluginOfAgeHoldsTheIdentity builds a real plugin and puts it on PATH: it makes snapshots possible, opens them, and is missed
// by name when it is away.
func TestO4_APluginOfAgeHoldsTheIdentity(t *testing.T) {
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(bin, "age-plugin-practicetest"), "./testdata/age-plugin-practicetest")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	path := os.Getenv("PATH")
	t.Setenv("PATH", bin+":"+path)
	out, err := exec.Command(filepath.Join(bin, "age-plugin-practicetest"), "-new").Output()
	if err != nil {
		t.Fatal(err)
	}
	recipient, text, ok := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if !ok {
		t.Fatalf("the plugin said %q", out)
	}
	ids, err := sealed.ParseIdentities([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	token := key{ids[0], recipient}
	g := rigFor(t, token, newKeys(t, 1)[0])
	src := backup.Source{Paths: []string{writeFiles(t, 33)}}
	g.run(src)
	for _, id := range g.identities {
		if err := restoresAll(t.Context(), g.store, id); err != nil {
			t.Errorf("%v: %v", id, err)
		}
	}
	// Two tokens are exchanged for two files, by the token.
	fresh := newKeys(t, 2)
	if _, err := g.rotate(t.Context(), g.store, g.recipients, fresh, token.id); err != nil {
		t.Fatal(err)
	}
	if err := restoresAll(t.Context(), g.store, fresh[0].id); err != nil {
		t.Error(err)
	}
	// And the past is handed on to a token.
	if _, err := g.rotate(t.Context(), g.store, nil, []key{token}, fresh[0].id); err != nil {
		t.Fatal(err)
	}
	if err := restoresAll(t.Context(), g.store, token.id); err != nil {
		t.Error(err)
	}
	if shown := fmt.Sprintf("%v %+v %s", token.id, token.id, token.id); strings.Contains(strings.ToUpper(shown), text[:30]) {
		t.Errorf("the identity shows itself: %s", shown)
	}
	g.accept()
	t.Setenv("PATH", path)
	if _, err := backup.Run(t.Context(), g.host(), backup.Source{Paths: []string{writeFiles(t, 34)}}, g.options(), progress.None); uerr.KindOf(err) != uerr.Precond || !strings.Contains(uerr.HintOf(err), "age-plugin-practicetest") {
		t.Errorf("the plugin is away: %v", err)
	}
	if _, err := sealed.FileKey(g.host().Settings.IndexKey, token.id); uerr.KindOf(err) != uerr.Precond {
		t.Errorf("the plugin is away: %v", err)
	}
}
