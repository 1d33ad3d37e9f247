package updater

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"practicectl/internal/slots"
	"practicectl/internal/uerr"
	"practicectl/release/archive"
)

// selfSlots makes a live practicectl of the mode and returns its slots and the manifest of the next version.
func selfSlots(t *testing.T, mode os.FileMode) (slots.Slots, archive.Manifest, []byte) {
	t.Helper()
	s := slots.Slots{Dir: filepath.Join(t.TempDir(), "Praxis Ü", "practicectl")}
	err := s.Stage(context.Background(), "1.0.0", func(dir string) error {
		return errors.Join(os.Mkdir(filepath.Join(dir, "bin"), 0o755),
			os.WriteFile(filepath.Join(dir, "bin", "practicectl"), []byte("old program"), mode),
			os.Chmod(filepath.Join(dir, "bin", "practicectl"), mode))
	})
	if err := errors.Join(err, s.Switch("1.0.0")); err != nil {
		t.Fatal(err)
	}
	next := bytes.Repeat([]byte("new program "), 1000)
	sum := sha256.Sum256(next)
	return s, archive.Manifest{Name: "practicectl", Files: []archive.File{{Path: "bin/practicectl", Mode: "0755",
		SHA256: hex.EncodeToString(sum[:]), Size: int64(len(next))}}}, next
}

// unpacked lays next down in dir as archive.Unpack would.
func unpacked(dir string, next []byte) error {
	return errors.Join(os.MkdirAll(filepath.Join(dir, "bin"), 0o755), os.WriteFile(filepath.Join(dir, "bin", "practicectl"), next, 0o755))
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Trap: go-update turns 0750 into 0755 and leaves the old binary only when it is told where.
func TestSelfUpdateKeepsTheModeAndLeavesTheLiveProgramAlone(t *testing.T) {
	s, m, next := selfSlots(t, 0o750)
	err := s.Stage(context.Background(), "1.1.0", func(dir string) error {
		return errors.Join(unpacked(dir, next), replaceSelf(m, s.CurrentPath(), dir))
	})
	if err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(s.Path("1.1.0"), "bin", "practicectl")
	got, err := os.ReadFile(made)
	if err != nil || !bytes.Equal(got, next) {
		t.Errorf("new program has %d bytes, %v", len(got), err)
	}
	if st, err := os.Stat(made); err != nil || st.Mode().Perm() != 0o750 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if left := files(t, s.Path("1.1.0")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if live, err := os.ReadFile(filepath.Join(s.CurrentPath(), "bin", "practicectl")); string(live) != "old program" || err != nil {
		t.Errorf("live program is %q, %v", live, err)
	}
}

// Trap: without a checksum go-update installs anything.
func TestSelfUpdateWithAWrongChecksumIsRefusedAndTheOldProgramStays(t *testing.T) {
	s, m, next := selfSlots(t, 0o755)
	dir := t.TempDir()
	target, incoming := filepath.Join(dir, "practicectl"), filepath.Join(dir, "in")
	if err := errors.Join(os.WriteFile(target, []byte("old program"), 0o755), os.WriteFile(incoming, next[1:], 0o644)); err != nil {
		t.Fatal(err)
	}
	sum, _ := hex.DecodeString(m.Files[0].SHA256)
	if err := applySelf(incoming, target, sum, 0o755); uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("got %v", err)
	}
	if got, err := os.ReadFile(target); string(got) != "old program" || err != nil {
		t.Errorf("target is %q, %v", got, err)
	}
	if left := files(t, dir); len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
	for _, bad := range [][]byte{nil, sum[:31]} {
		if err := applySelf(incoming, target, bad, 0o755); uerr.KindOf(err) != uerr.Integrity {
			t.Errorf("checksum of %d bytes: %v", len(bad), err)
		}
	}
	if err := applySelf(incoming, target, sum, 0); uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("mode 0: %v", err)
	}
	err := s.Stage(context.Background(), "1.1.0", func(dir string) error {
		return errors.Join(unpacked(dir, append(next, 'x')), replaceSelf(m, s.CurrentPath(), dir))
	})
	if uerr.KindOf(err) != uerr.Integrity || s.Has("1.1.0") {
		t.Errorf("staged: %v, %v", s.Has("1.1.0"), err)
	}
}

// Trap: go-update replaces a link by a file. Ours never meets one: the target is a fresh copy in the new folder.
func TestSelfUpdateThroughALinkedCurrentLeavesTheLink(t *testing.T) {
	s, m, next := selfSlots(t, 0o755)
	err := s.Stage(context.Background(), "1.1.0", func(dir string) error {
		return errors.Join(unpacked(dir, next), replaceSelf(m, s.CurrentPath(), dir))
	})
	if err = errors.Join(err, s.Switch("1.1.0")); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Lstat(s.CurrentPath()); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("current is %v, %v", st, err)
	}
	if old, err := os.ReadFile(filepath.Join(s.Path("1.0.0"), "bin", "practicectl")); string(old) != "old program" || err != nil {
		t.Errorf("way back holds %q, %v", old, err)
	}
}

// Trap: between go-update's two renames there is no program at all. In a folder that is not live this harms nobody.
func TestCrashBetweenTheTwoRenamesOfGoUpdateIsClearedAway(t *testing.T) {
	s, m, next := selfSlots(t, 0o755)
	half := s.Path("1.1.0") + ".unverified"
	err := errors.Join(unpacked(half, next),
		os.Rename(filepath.Join(half, "bin", "practicectl"), filepath.Join(half, "bin", ".practicectl.new")),
		os.WriteFile(filepath.Join(half, "bin", "practicectl.previous"), []byte("old program"), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := s.Current(); v != "1.0.0" || err != nil {
		t.Errorf("live version %q, %v", v, err)
	}
	err = errors.Join(s.Recover(), s.Stage(context.Background(), "1.1.0", func(dir string) error {
		return errors.Join(unpacked(dir, next), replaceSelf(m, s.CurrentPath(), dir))
	}), s.Switch("1.1.0"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(s.CurrentPath(), "bin", "practicectl")); !bytes.Equal(got, next) || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
