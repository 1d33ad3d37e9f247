package backup_test

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"practicectl/backup"
)

// writeFiles makes a folder with files of all kinds and sizes.
func writeFiles(t testing.TB, seed uint64) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "Ordner mit Ümlauten")
	rng := rand.New(rand.NewPCG(seed, 1))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32()) & 0x3f
		}
		return b
	}
	for name, data := range map[string][]byte{
		"leer": {}, "practice.toml": []byte("schema = 1\n"), "cred/key": random(32), "groß/bild.bin": random(5<<20 + 17), "genau": random(1 << 20),
		"doppelt": bytes.Repeat(random(1<<20), 3), "a/b/c/d": random(9000),
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "leerer Ordner"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("practice.toml", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	return root
}

// sameTree compares two folders: names, kinds, modes, times, content.
func sameTree(t testing.TB, want, got string) {
	t.Helper()
	count := func(root string) (n int) {
		_ = filepath.WalkDir(root, func(string, fs.DirEntry, error) error { n++; return nil })
		return n
	}
	if a, b := count(want), count(got); a != b {
		t.Errorf("%s has %d entries, %s has %d", want, a, got, b)
	}
	err := filepath.WalkDir(want, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(want, path)
		other := filepath.Join(got, rel)
		a, errA := os.Lstat(path)
		b, errB := os.Lstat(other)
		if errA != nil || errB != nil {
			t.Errorf("%s: %v, %v", rel, errA, errB)
			return nil
		}
		if a.Mode() != b.Mode() || a.Mode().IsRegular() && (a.Size() != b.Size() || a.ModTime().Unix() != b.ModTime().Unix()) {
			t.Errorf("%s: %v %d %v, want %v %d %v", rel, b.Mode(), b.Size(), b.ModTime(), a.Mode(), a.Size(), a.ModTime())
		}
		switch {
		case a.Mode().IsRegular():
			x, _ := os.ReadFile(path)
			y, _ := os.ReadFile(other)
			if !bytes.Equal(x, y) {
				t.Errorf("%s: content differs", rel)
			}
		case a.Mode()&fs.ModeSymlink != 0:
			x, _ := os.Readlink(path)
			y, _ := os.Readlink(other)
			if x != y {
				t.Errorf("%s: link to %q, want %q", rel, y, x)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestO5_FilesComeBackAsTheyWere(t *testing.T) {
	st, _ := dirStore(t)
	g := newRig(t, st)
	root := writeFiles(t, 1)
	first := g.run(backup.Source{Paths: []string{root}})
	target := filepath.Join(t.TempDir(), "neu")
	g.restore("latest", target, backup.RestoreOptions{})
	sameTree(t, root, filepath.Join(target, "files", root))

	second := g.run(backup.Source{Paths: []string{root}})
	if second.Uploaded > 64<<10 || second.Uploaded >= first.Uploaded/10 {
		t.Errorf("nothing changed and %d bytes went up (first run: %d)", second.Uploaded, first.Uploaded)
	}
	if second.Snapshot.Parent != first.Snapshot.ID {
		t.Errorf("parent is %q, want %q", second.Snapshot.Parent, first.Snapshot.ID)
	}
}
