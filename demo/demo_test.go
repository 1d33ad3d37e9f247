package demo

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"practicectl/internal/lockfile"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/archive"
)

// shop is a workshop over the product's own source.
func shop(t *testing.T) workshop {
	t.Helper()
	source, err := findSource("..")
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(t.TempDir(), "root.json")
	if err := os.WriteFile(root, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	return workshop{source: source, dir: t.TempDir(), root: root}
}

func TestTheBrokenEditionCompilesAndDiffersInItsChecksOnly(t *testing.T) {
	w := shop(t)
	overlay, err := w.overlay(editions[2])
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "vet", "-overlay", overlay, "./server/ready")
	cmd.Dir = w.source
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(overlay)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"checks.go", "root.json", "_preferred_name.sql"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the overlay does not name %s", want)
		}
	}
	healthy, err := w.overlay(editions[0])
	if err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(healthy); err != nil || bytes.Contains(text, []byte("checks.go")) {
		t.Errorf("the first edition is touched: %v\n%s", err, text)
	}
}

// TestTheSameSourceGivesTheSameBytes builds a program from two copies of the source in different folders and packs both.
func TestTheSameSourceGivesTheSameBytes(t *testing.T) {
	var archives [2][]byte
	for i := range archives {
		w := shop(t)
		source := filepath.Join(t.TempDir(), strings.Repeat("deeper/", i), "source")
		copySource(t, w.source, source)
		w.source = source
		out := filepath.Join(t.TempDir(), "bin")
		if err := os.MkdirAll(out, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := w.compile(t.Context(), editions[0], out, "practice-relay"); err != nil {
			t.Fatal(err)
		}
		var packed bytes.Buffer
		m := archive.Manifest{Name: release.Relay, Version: editions[0].version, OS: runtime.GOOS, Arch: runtime.GOARCH}
		if _, err := archive.Pack(t.Context(), &packed, m, os.DirFS(filepath.Dir(out)), archive.Fast); err != nil {
			t.Fatal(err)
		}
		archives[i] = packed.Bytes()
	}
	if !bytes.Equal(archives[0], archives[1]) || len(archives[0]) < 1<<20 {
		t.Errorf("two builds of the same source differ (%d and %d bytes)", len(archives[0]), len(archives[1]))
	}
}

// copySource copies what the compiler reads.
func copySource(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); rel != "." && (strings.HasPrefix(name, ".") || name == "bin" || name == "dist" || name == "testdata") {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheProductKnowsNothingOfTheDemosFault(t *testing.T) {
	w := shop(t)
	err := filepath.WalkDir(filepath.Join(w.source, "server"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte("broken-on-purpose")) || bytes.Contains(text, []byte("preferred_name")) {
			t.Errorf("%s knows of the demo", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestFoldersThatAreNotADemosAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	if err := Down(t.Context(), dir); uerr.KindOf(err) != uerr.NotFound {
		t.Errorf("down: %v", err)
	}
	keep := filepath.Join(dir, "keep")
	if err := os.WriteFile(keep, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := claim(dir); uerr.KindOf(err) != uerr.Precond || !strings.Contains(uerr.HintOf(err), "--dir") {
		t.Errorf("claim: %v", err)
	}
	if _, err := os.Stat(keep); err != nil {
		t.Error(err)
	}
	demo := filepath.Join(t.TempDir(), "demo")
	if err := claim(demo); err != nil {
		t.Fatal(err)
	}
	if err := claim(demo); uerr.KindOf(err) != uerr.Precond || !strings.Contains(uerr.HintOf(err), "demo down") {
		t.Errorf("claim twice: %v, hint %q", err, uerr.HintOf(err))
	}
	_, up, err := lockfile.Acquire(t.Context(), lockPath(demo), "demo up", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := Down(t.Context(), demo); uerr.KindOf(err) != uerr.Locked {
		t.Errorf("down while the demo is being told: %v", err)
	}
	if err := up.Release(); err != nil {
		t.Fatal(err)
	}
	if err := Down(t.Context(), demo); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(demo); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}

func TestADemoStopsOnlyItsOwnProcesses(t *testing.T) {
	mine, other := filepath.Join(t.TempDir(), "mine"), exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Process.Kill(); _ = other.Wait() })
	own := exec.Command("sleep", "60")
	own.Env = append(os.Environ(), "HOME="+mine) // as the demo starts its processes
	if err := own.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- own.Wait() }()
	s := &state{Processes: []process{{Name: "other", PID: other.Process.Pid}, {Name: "own", PID: own.Process.Pid}}}
	if err := s.stop(mine); err != nil {
		t.Fatal(err)
	}
	<-ended
	if !running(other.Process.Pid) {
		t.Error("a process of somebody else was stopped")
	}
}

func TestASourceThatIsNotTheProductsIsRefused(t *testing.T) {
	if _, err := findSource(t.TempDir()); uerr.KindOf(err) != uerr.Precond || !strings.Contains(uerr.HintOf(err), "--source") {
		t.Errorf("got %v", err)
	}
}

func TestFingerprintsNameTheTablesThatDiffer(t *testing.T) {
	a := fingerprint{"pm.patient": {2, "x"}, "pm.room": {1, "r"}}
	b := fingerprint{"pm.patient": {3, "y"}, "pm.room": {1, "r"}, "pm.new": {0, ""}}
	if got := strings.Join(a.differences(b), "; "); got != "pm.new: only in the second; pm.patient: 2 rows against 3" {
		t.Errorf("got %s", got)
	}
	if got := a.differences(a); len(got) != 0 || a.rows() != 3 {
		t.Errorf("got %v, %d rows", got, a.rows())
	}
}
