//go:build linux

package installer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"practicectl/internal/steps"
)

func itoa(n int) string { return strconv.Itoa(n) }

// kill ends a process and waits until it is gone.
func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil && !zombie(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not die")
		}
	}
}

func zombie(pid int) bool {
	data, err := os.ReadFile(filepath.Join("/proc", itoa(pid), "stat"))
	return err != nil || strings.Contains(string(data), ") Z ")
}

// order to a victim process: install until the given place, then die.
type order struct {
	Prefix, Source string
	Root           []byte
	Desired        Desired
	Seen           string // file of the places that were passed already; dies at the first new one
}

func victim(args []string) error {
	data, err := base64.StdEncoding.DecodeString(args[0])
	if err != nil {
		return err
	}
	var o order
	if err := json.Unmarshal(data, &o); err != nil {
		return err
	}
	seen, err := os.ReadFile(o.Seen)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	c := openClinic(fatal{}, o.Prefix, o.Source, o.Root)
	c.Crash = func(point string) {
		if strings.Contains("\n"+string(seen), "\n"+point+"\n") {
			return
		}
		if err := os.WriteFile(o.Seen, []byte(string(seen)+point+"\n"), 0o600); err != nil {
			panic(err)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	_, err = New(c.Options).Install(context.Background(), o.Desired, "")
	return err
}

type fatal struct{}

func (fatal) Fatal(args ...any) { panic(args) }

// TestKillNineAtEveryStepThenTheNextRunFinishes kills the installing process at each place it has not been killed at
// before; every run goes on where the killed one was, until one finishes.
func TestKillNineAtEveryStepThenTheNextRunFinishes(t *testing.T) {
	c := newClinic(t)
	c.desired.Modules = []string{"clinical"}
	seen := filepath.Join(t.TempDir(), "seen")
	data, err := json.Marshal(order{Prefix: c.Layout.Prefix, Source: c.releases.Dir, Root: c.releases.Root, Desired: c.desired, Seen: seen})
	if err != nil {
		t.Fatal(err)
	}
	kills := 0
	for finished := false; !finished; {
		cmd := exec.Command(os.Args[0], "victim", base64.StdEncoding.EncodeToString(data))
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		switch {
		case err == nil:
			finished = true
		case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
			kills++
		default:
			places, _ := os.ReadFile(seen)
			c.logs(t)
			t.Fatalf("after %d kills (last places %s): %v\n%s", kills, lastLines(strings.TrimSpace(string(places)), 3), err, out)
		}
	}
	plan, err := New(c.Options).Plan(t.Context(), c.desired)
	if err != nil || plan.Changes() != 0 {
		t.Fatalf("%+v %v", plan, err)
	}
	places, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	// A step that found its work done has one place, any other three: announced, applied, reported.
	if kills < 2*len(plan.Steps) {
		t.Fatalf("killed at %d places only", kills)
	}
	for _, s := range plan.Steps {
		if !strings.Contains(string(places), s.Name+"/") {
			t.Errorf("never killed at %q", s.Name)
		}
	}
	if f, err := New(c.Options).Verify(t.Context(), nil); err != nil {
		t.Fatal(f, err)
	}
	h, err := steps.Read(New(c.Options).journal())
	if err != nil || h[len(h)-1].Outcome != "committed" {
		t.Fatal(h, err)
	}
}

func TestAnotherWishAfterACrashUndoesTheOldOneFirst(t *testing.T) {
	c := newClinic(t)
	c.desired.Profile, c.desired.Modules = ProfileWorkstation, []string{"clinical"}
	c.Crash = func(point string) {
		if point == "activate module-clinical 1.0.0/done" {
			panic("crash")
		}
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = New(c.Options).Install(t.Context(), c.desired, "")
	}()
	c.Crash = func(string) {}
	c.desired.Modules = []string{"accounting"}
	c.install(t)
	if _, err := os.Stat(c.Layout.Component("module-clinical")); err == nil {
		entries, _ := os.ReadDir(c.Layout.Component("module-clinical"))
		if len(entries) > 0 {
			t.Fatal("the module that nobody wants any more is there", entries)
		}
	}
	if _, err := ReadReceipt(c.Layout.Receipts(), "module-accounting"); err != nil {
		t.Fatal(err)
	}
}
