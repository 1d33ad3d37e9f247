//go:build !windows

package slots

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"practicectl/internal/uerr"
)

const crashDir = "PRACTICE_SLOTS_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		churn(Slots{Dir: dir})
	}
	os.Exit(m.Run())
}

// churn stages, switches and removes without end until somebody kills it.
func churn(s Slots) {
	ctx := context.Background()
	for i := 0; ; i++ {
		old, next := fmt.Sprintf("1.%d.0", i%3), fmt.Sprintf("1.%d.0", (i+1)%3)
		err := errors.Join(s.Recover(), s.Stage(ctx, next, fillWith(next)), s.Switch(next), s.Remove(old))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
}

// TestM5_KilledAtAnyMomentTheCurrentVersionIsWhole kills a process that stages, switches and removes without pause.
func TestM5_KilledAtAnyMomentTheCurrentVersionIsWhole(t *testing.T) {
	s := Slots{Dir: filepath.Join(t.TempDir(), "Prüf Platz")}
	stage(t, s, "1.0.0")
	if err := s.Switch("1.0.0"); err != nil {
		t.Fatal(err)
	}
	leftovers := 0
	for range 60 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), crashDir+"="+s.Dir)
		var out strings.Builder
		child.Stdout = &out
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Millisecond + time.Duration(rand.IntN(15_000))*time.Microsecond)
		_ = child.Process.Kill()
		_ = child.Wait()
		if out.Len() > 0 {
			t.Fatal(out.String())
		}
		for _, when := range []string{"after the crash", "after recovery"} {
			version, err := s.Current()
			if err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			assertWhole(t, s)
			live, err := os.ReadFile(filepath.Join(s.CurrentPath(), "bin", "a"))
			if err != nil || string(live) != version {
				t.Fatalf("%s: live content %q, %v", when, live, err)
			}
			entries, _ := os.ReadDir(s.Dir)
			versions, _ := s.Versions()
			extra := len(entries) - len(versions) - 1
			if when == "after recovery" && extra != 0 {
				t.Fatalf("recovery left %v", entries)
			}
			leftovers += extra
			if err := s.Recover(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if leftovers == 0 {
		t.Error("no crash hit the middle of anything: the test proves nothing")
	}
}

// Every name that says "complete" must be complete.
func assertWhole(t *testing.T, s Slots) {
	t.Helper()
	versions, err := s.Versions()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions {
		for _, f := range []string{"bin/a", "z"} {
			if b, err := os.ReadFile(filepath.Join(s.Path(v), f)); err != nil || string(b) != v {
				t.Fatalf("%s/%s holds %q, %v", v, f, b, err)
			}
		}
	}
}

func TestFullDiskIsNamedAndLeavesNothing(t *testing.T) {
	s := Slots{Dir: t.TempDir()}
	err := s.Stage(context.Background(), "1.0.0", func(dir string) error {
		return os.WriteFile("/dev/full", []byte("x"), 0o600) // the kernel's own ENOSPC
	})
	if uerr.KindOf(err) != uerr.NoSpace || uerr.ExitCode(err) != 16 {
		t.Errorf("kind %v: %v", uerr.KindOf(err), err)
	}
	if entries, _ := os.ReadDir(s.Dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestHalfMadeSwitchIsCleared(t *testing.T) {
	s := Slots{Dir: t.TempDir()}
	stage(t, s, "1.0.0")
	err := errors.Join(s.Switch("1.0.0"), os.Symlink("1.1.0", s.CurrentPath()+".new"), os.Mkdir(s.Path("1.0.1")+removing, 0o755), s.Recover())
	if err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(s.Dir); len(entries) != 2 {
		t.Errorf("left behind: %v", entries)
	}
}
