//go:build linux

package svc

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"practicectl/internal/lockfile"
	"practicectl/internal/uerr"
)

func quick() SupervisorOptions {
	return SupervisorOptions{FirstPause: 10 * time.Millisecond, MaxPause: 50 * time.Millisecond, CrashLimit: 3}
}

func stopAtEnd(t *testing.T, v *Supervisor, names ...string) {
	t.Cleanup(func() {
		for _, n := range names {
			if err := v.Stop(context.WithoutCancel(t.Context()), n); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestStartWaitsUntilReadyAndStopSendsTheChosenSignal(t *testing.T) {
	dir := shortDir(t)
	v := NewSupervisor(quick())
	for _, sig := range []struct{ send, seen string }{{"INT", "interrupt"}, {"TERM", "terminated"}} {
		s := service(t, "database", "listen", filepath.Join(dir, "s"), filepath.Join(dir, "signal"))
		s.Ready, s.StopSignal = "unix:"+filepath.Join(dir, "s"), sig.send
		if err := v.Start(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := v.Start(t.Context(), s); err != nil { // runs already
			t.Fatal(err)
		}
		st := v.Status("database")
		if st.State != Running || !alive(st.PID) {
			t.Fatalf("%+v", st)
		}
		if err := v.Stop(t.Context(), "database"); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, "signal"))
		if err != nil || string(got) != sig.seen || alive(st.PID) {
			t.Fatalf("stopped by %q, %v", got, err)
		}
	}
	if err := v.Stop(t.Context(), "database"); err != nil || v.Status("database").State != Stopped {
		t.Fatal(err)
	}
}

func TestCrashLoopEndsAndIsNamed(t *testing.T) {
	v := NewSupervisor(quick())
	s := service(t, "server", "crash")
	s.Ready = "unix:/nonexistent"
	err := v.Start(t.Context(), s)
	if uerr.KindOf(err) != uerr.Failed || !strings.Contains(err.Error(), "3 times") || !strings.Contains(uerr.HintOf(err), s.LogFile) {
		t.Fatal(err)
	}
	log, err := os.ReadFile(s.LogFile)
	if err != nil || strings.Count(string(log), "child crash") != 3 {
		t.Fatalf("%s %v", log, err)
	}
	info, err := os.Stat(s.LogFile)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Fatal(info.Mode(), err)
	}
}

func TestCrashedServiceComesBack(t *testing.T) {
	v := NewSupervisor(quick())
	sock := filepath.Join(shortDir(t), "s")
	s := service(t, "server", "listen", sock)
	s.Ready = "unix:" + sock
	stopAtEnd(t, v, "server")
	if err := v.Start(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	first := v.Status("server").PID
	if err := killGroup(first); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(sock); err != nil { // left by the kill
		t.Fatal(err)
	}
	eventually(t, "runs again", func() bool {
		st := v.Status("server")
		return st.State == Running && st.PID != first && st.Restarts == 1
	})
}

func TestStubbornServiceIsKilledWithItsChildren(t *testing.T) {
	v := NewSupervisor(quick())
	pidFile := filepath.Join(shortDir(t), "pid")
	s := service(t, "server", "stubborn", pidFile)
	s.StopTimeout = 100 * time.Millisecond
	if err := v.Start(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	eventually(t, "grandchild", func() bool { return readable(pidFile) })
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	grandchild, err := strconv.Atoi(string(text))
	if err != nil || !alive(grandchild) {
		t.Fatal(grandchild, err)
	}
	pid := v.Status("server").PID
	if err := v.Stop(t.Context(), "server"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "whole group gone", func() bool { return !alive(pid) && !alive(grandchild) })
}

func TestServiceInheritsNoLock(t *testing.T) {
	_, lock, err := lockfile.Acquire(t.Context(), filepath.Join(t.TempDir(), "backup.lock"), "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	v := NewSupervisor(quick())
	sock := filepath.Join(shortDir(t), "s")
	s := service(t, "server", "listen", sock)
	s.Ready = "unix:" + sock
	stopAtEnd(t, v, "server")
	if err := v.Start(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	dir := fmt.Sprintf("/proc/%d/fd", v.Status("server").PID)
	fds, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && strings.HasSuffix(to, ".lock") {
			t.Fatalf("descriptor %s is the lock %s", fd.Name(), to)
		}
	}
}

func TestStartRefusesWhatCannotRun(t *testing.T) {
	v := NewSupervisor(quick())
	for _, s := range []Service{{}, {Name: "x", Command: []string{"relative"}, LogFile: "/l"}, {Name: "x", Command: []string{"/p"}},
		{Name: "x", Command: []string{"/p"}, LogFile: "/l", StopSignal: "KILL"}} {
		if err := v.Start(t.Context(), s); uerr.KindOf(err) != uerr.Precond {
			t.Fatalf("%+v: %v", s, err)
		}
	}
}

func TestLogRotatesAndKeepsItsMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.log")
	l, err := openLog(path, 10)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := fmt.Fprintf(l, "line %02d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != logKeep+1 {
		t.Fatal(entries, err)
	}
	for i, want := range map[string]string{"": "line 19\n", ".1": "line 18\n", ".5": "line 14\n"} {
		got, err := os.ReadFile(path + i)
		if err != nil || string(got) != want {
			t.Fatalf("%s: %q %v", i, got, err)
		}
	}
}
