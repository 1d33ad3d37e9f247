package backup

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"practicectl/backup/intake"
	"practicectl/backup/repo"
	"practicectl/internal/objstore/dir"
	"practicectl/internal/progress"
)

var update = flag.Bool("update", false, "write testdata/format-1 anew; only while the format is not released")

// goldenPages is a file of pages: text, zeros, repetitions, and enough runs for a page map of its own.
func goldenPages() []byte {
	var out []byte
	for i := range 60 {
		page := make([]byte, repo.PageSize)
		if i%3 != 1 {
			copy(page, bytes.Repeat([]byte{byte('a' + i%20)}, 1000+i))
		}
		out = append(out, page...)
	}
	return out
}

// TestFormat1RestoresForever opens a repository that an earlier build wrote. A change of the format that this test notices
// needs a new format number and a reader for the old one.
func TestFormat1RestoresForever(t *testing.T) {
	golden := filepath.Join("testdata", "format-1")
	if *update {
		writeGolden(t, golden)
	}
	text, err := os.ReadFile(filepath.Join(golden, "identity"))
	if err != nil {
		t.Fatal(err)
	}
	ids, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	// The store may sweep or lock its folder: work on a copy.
	store := t.TempDir()
	if err := os.CopyFS(store, os.DirFS(filepath.Join(golden, "store"))); err != nil {
		t.Fatal(err)
	}
	st, err := dir.Open(store)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), st, Keys{Identities: ids})
	if err != nil {
		t.Fatal(err)
	}
	if rep, err := Verify(t.Context(), r, VerifyOptions{}, progress.None); err != nil || rep.Snapshots != 2 || !rep.Opened {
		t.Errorf("%+v, %v", rep, err)
	}
	target := filepath.Join(t.TempDir(), "copy")
	plan, err := PlanRestore(t.Context(), r, Target{Snapshot: "latest", Dir: target})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), plan, RestoreOptions{Now: time.Now}, progress.None); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"base/1/100": goldenPages(), "etc/practice.toml": []byte("schema = 1\n"), "leer": {}} {
		if got, err := os.ReadFile(filepath.Join(target, "files", filepath.FromSlash(name))); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if to, err := os.Readlink(filepath.Join(target, "files", "link")); err != nil || to != "leer" {
		t.Errorf("link to %q, %v", to, err)
	}
}

func writeGolden(t *testing.T, golden string) {
	t.Helper()
	store := filepath.Join(golden, "store")
	if err := os.RemoveAll(golden); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(store, 0o755); err != nil {
		t.Fatal(err)
	}
	st, err := dir.Open(store)
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(golden, "identity"), []byte("# for this test only\n"+id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cred := t.TempDir()
	now := time.Now
	if _, err := Setup(t.Context(), st, SetupOptions{Credentials: cred, OwnerKey: filepath.Join(t.TempDir(), "o"),
		InitOptions: InitOptions{Host: "golden", Recipients: []string{id.Recipient().String(), other.Recipient().String()}, Now: now()}}); err != nil {
		t.Fatal(err)
	}
	keys, err := LoadKeys(cred)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), st, keys)
	if err != nil {
		t.Fatal(err)
	}
	pages := filepath.Join(t.TempDir(), "pages")
	cache := t.TempDir()
	for i := range 2 {
		data := goldenPages()
		data[17*repo.PageSize] ^= byte(1 - i) // the second snapshot adds one page
		if err := os.WriteFile(pages, data, 0o600); err != nil {
			t.Fatal(err)
		}
		content := map[string]string{"etc/practice.toml": "schema = 1\n", "leer": ""}
		files := []intake.File{
			{Entry: repo.Entry{Path: "base/1/100", Kind: repo.Pages, Mode: 0o600, Size: int64(len(data))}, Local: pages},
			{Entry: repo.Entry{Path: "etc", Kind: repo.Dir, Mode: 0o750}},
			{Entry: repo.Entry{Path: "link", Kind: repo.Link, Target: "leer"}},
		}
		for name, text := range content {
			local := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(local, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			files = append(files, intake.File{Entry: repo.Entry{Path: name, Kind: repo.File, Mode: 0o640, MTime: 1700000000}, Local: local})
		}
		j := &job{repo: r, src: Source{Paths: []string{"x"}}, o: RunOptions{Cache: cache, Now: now}, p: progress.None, fail: func(error) {}}
		j.commitFiles(t, FilesTree, files)
	}
}
