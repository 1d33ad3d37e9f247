package backup

import (
	"context"
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

// evilSnapshot commits a snapshot of made-up entries with the real keys of a host, as somebody does who took the host over.
func evilSnapshot(t *testing.T, tree string, entries []intake.File) *Repo {
	t.Helper()
	folder := t.TempDir()
	st, err := dir.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	var recipients []string
	var ids []age.Identity
	for range 2 {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		ids, recipients = append(ids, id), append(recipients, id.Recipient().String())
	}
	cred := t.TempDir()
	if _, err := Setup(t.Context(), st, SetupOptions{Credentials: cred, OwnerKey: filepath.Join(t.TempDir(), "o"), InitOptions: InitOptions{Host: "h", Recipients: recipients, Now: time.Now()}}); err != nil {
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
	j := &job{repo: r, src: Source{Paths: []string{"x"}}, o: RunOptions{Cache: t.TempDir(), Now: time.Now}, p: progress.None, fail: func(error) {}}
	j.commitFiles(t, tree, entries)
	holder, err := Open(t.Context(), st, Keys{Identities: ids})
	if err != nil {
		t.Fatal(err)
	}
	return holder
}

// commitFiles takes the steps of a run with given entries in place of what a source found.
func (j *job) commitFiles(t *testing.T, tree string, entries []intake.File) {
	t.Helper()
	lay := func(ctx context.Context) error {
		saved, err := j.intake.Files(ctx, tree, entries, progress.None.Task("", progress.Bytes, 0))
		j.trees = map[string][]intake.Saved{tree: saved}
		return err
	}
	for _, step := range []func(context.Context) error{j.check, j.openWriter, j.beginIntake, lay, j.writeTrees, j.verifyPacks, j.writeIndex, j.writeLists, j.keepMap, j.commit, j.readBack} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestO5_ASnapshotCannotWriteOutsideOfItsTarget: the machine that restores must be safe from the one that was saved.
func TestO5_ASnapshotCannotWriteOutsideOfItsTarget(t *testing.T) {
	outside := t.TempDir()
	file := func(path string) intake.File {
		return intake.File{Entry: repo.Entry{Path: path, Kind: repo.File, Mode: 0o777}, Content: func(context.Context) ([]byte, error) { return []byte("owned"), nil }}
	}
	link := func(path, target string) intake.File {
		return intake.File{Entry: repo.Entry{Path: path, Kind: repo.Link, Target: target}}
	}
	for name, entries := range map[string][]intake.File{
		"parent":              {file("../../pwn")},
		"absolute":            {file(filepath.Join(outside, "pwn"))},
		"through a link":      {link("a", outside), file("a/pwn")},
		"link after file":     {file("a/pwn"), link("a", outside)},
		"link with dots":      {link("a", "../../../../.."+outside), file("a/pwn")},
		"twice":               {file("a"), file("a")},
		"folder and file":     {file("a"), file("a/b")},
		"the log as a link":   {link("pg_wal", outside)},
		"mode through a link": {link("a", filepath.Join(outside, "victim")), {Entry: repo.Entry{Path: "a", Kind: repo.Dir, Mode: 0o777}}},
	} {
		t.Run(name, func(t *testing.T) {
			victim := filepath.Join(outside, "victim")
			if err := os.WriteFile(victim, []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
			target := filepath.Join(t.TempDir(), "x", "target")
			plan, err := PlanRestore(t.Context(), evilSnapshot(t, FilesTree, entries), Target{Snapshot: "latest", Dir: target})
			if err == nil {
				_, err = Restore(t.Context(), plan, RestoreOptions{Now: time.Now}, progress.None)
			}
			if err == nil && name != "the log as a link" {
				t.Error("it was restored")
			}
			entriesOutside, err := os.ReadDir(outside)
			if err != nil || len(entriesOutside) != 1 {
				t.Errorf("outside: %v, %v", entriesOutside, err)
			}
			st, err := os.Stat(victim)
			if err != nil || st.Mode().Perm() != 0o600 || st.Size() != 4 {
				t.Errorf("victim: %v, %v", st, err)
			}
		})
	}
}

// TestO5_InPlaceIsSafeFromItsSnapshot brings evil snapshots back over what an honest restore has left, with links put into it.
func TestO5_InPlaceIsSafeFromItsSnapshot(t *testing.T) {
	file := func(path string) intake.File {
		return intake.File{Entry: repo.Entry{Path: path, Kind: repo.File, Mode: 0o777}, Content: func(context.Context) ([]byte, error) { return []byte("owned"), nil }}
	}
	outside := t.TempDir()
	for name, entries := range map[string][]intake.File{
		"honest":          {file("a"), {Entry: repo.Entry{Path: "d", Kind: repo.Dir, Mode: 0o755}}, file("d/b")},
		"parent":          {file("../../pwn")},
		"through a link":  {{Entry: repo.Entry{Path: "d", Kind: repo.Link, Target: outside}}, file("d/pwn")},
		"link after file": {file("d/pwn"), {Entry: repo.Entry{Path: "d", Kind: repo.Link, Target: outside}}},
		"twice":           {file("a"), file("a")},
		"the victim":      {file("a"), file("d/victim")},
	} {
		t.Run(name, func(t *testing.T) {
			victim := filepath.Join(outside, "victim")
			if err := os.WriteFile(victim, []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
			target := filepath.Join(t.TempDir(), "target")
			if err := os.MkdirAll(filepath.Join(target, FilesTree), 0o755); err != nil {
				t.Fatal(err)
			}
			for link, to := range map[string]string{"a": victim, "d": outside} { // somebody put them there since
				if err := os.Symlink(to, filepath.Join(target, FilesTree, link)); err != nil {
					t.Fatal(err)
				}
			}
			plan, err := PlanRestore(t.Context(), evilSnapshot(t, FilesTree, entries), Target{Snapshot: "latest", Dir: target, InPlace: true})
			if err == nil {
				_, err = Restore(t.Context(), plan, RestoreOptions{Now: time.Now}, progress.None)
			}
			if honest := name == "honest" || name == "the victim"; (err == nil) != honest {
				t.Errorf("%v", err)
			}
			if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
				t.Errorf("outside: %v, %v", left, err)
			}
			if st, err := os.Stat(victim); err != nil || st.Mode().Perm() != 0o600 || st.Size() != 4 {
				t.Errorf("victim: %v, %v", st, err)
			}
			if err != nil {
				if to, lerr := os.Readlink(filepath.Join(target, FilesTree, "a")); lerr != nil || to != victim {
					t.Errorf("it is not as it was: %q, %v", to, lerr)
				}
			}
		})
	}
}

// TestO5_ADatabaseHasNoLinks: the restored cluster is configured by the administrator, in conf.d and beside it.
func TestO5_ADatabaseHasNoLinks(t *testing.T) {
	folder := intake.File{Entry: repo.Entry{Path: "conf.d", Kind: repo.Dir, Mode: 0o700}}
	for name, want := range map[string]struct {
		entry intake.File
		ok    bool
	}{
		"folder": {folder, true},
		"link":   {intake.File{Entry: repo.Entry{Path: "conf.d", Kind: repo.Link, Target: "/etc/ld.so.conf.d"}}, false},
	} {
		_, err := PlanRestore(t.Context(), evilSnapshot(t, DatabaseTree, []intake.File{want.entry}), Target{Snapshot: "latest", Dir: filepath.Join(t.TempDir(), "target")})
		if (err == nil) != want.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
