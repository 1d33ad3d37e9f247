package steps

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"practicectl/internal/uerr"
)

// TestFullDiskUnderTheJournalLosesNothing lets the journal run into a full disk at every length it can have: what was
// applied is undone, and once there is room again a run over the same journal commits. Only root can mount the small disk.
func TestFullDiskUnderTheJournalLosesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		return
	}
	small := t.TempDir()
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=64k,mode=0777"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(small, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(small, "ballast")
	for room := 1; room <= 3; room++ { // pages of 4 KiB that are left for the journal
		w, _ := newWorld(t)
		path := filepath.Join(small, "journal.jsonl")
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(ballast, make([]byte, (16-room)*4096), 0o600); err != nil {
			t.Fatal(err)
		}
		full := false
		for range 40 { // each run that commits makes the journal longer, until it does not fit any more
			out, err, _ := runUntilCrash(t, path, Options{Job: "x", Params: map[string]string{"note": "some text that takes room in the journal"}}, w.steps(3))
			if err == nil && out == Committed {
				for _, s := range w.steps(3) {
					if err := s.Undo(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				continue
			}
			full = true
			if uerr.KindOf(err) != uerr.NoSpace || uerr.HintOf(err) == "" {
				t.Fatal(err)
			}
			if w.files(t) != "" {
				t.Fatalf("%v, %v, but there is %q", out, err, w.files(t))
			}
			break
		}
		if !full {
			t.Fatal("the disk never got full")
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		out, err, _ := runUntilCrash(t, path, Options{Job: "x"}, w.steps(3))
		if out == RolledBack { // the journal knew that it had failed
			out, err, _ = runUntilCrash(t, path, Options{Job: "x"}, w.steps(3))
		}
		if out != Committed || err != nil {
			t.Fatal(out, err)
		}
		settled(t, w, 3, out, "")
	}
}
