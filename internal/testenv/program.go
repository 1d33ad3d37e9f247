package testenv

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// tool returns a program that scripts/prerequisites builds; when it is missing the test fails with the line to run.
func tool(t testing.TB, name, goal string) string {
	t.Helper()
	path := filepath.Join(ToolsDir(), "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is missing\n  fix: scripts/prerequisites %s", path, goal)
	}
	return path
}

// startProgram runs a server until the test ends and returns when addr accepts connections. What it says is shown when the
// test fails.
func startProgram(t testing.TB, cmd *exec.Cmd, addr string) {
	t.Helper()
	log, err := os.CreateTemp(t.TempDir(), filepath.Base(cmd.Path)+"-*.log")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	dieWithParent(cmd)
	started, gone := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the kernel's "end with the parent" is about the thread that started the process
		started <- cmd.Start()
		_ = cmd.Wait() // how it ended is in its log
		_ = log.Close()
		close(gone)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may be gone already
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-gone
		}
		if t.Failed() {
			said, _ := os.ReadFile(log.Name())
			t.Logf("%s said:\n%s", cmd.Path, said[max(0, len(said)-4000):])
		}
	})
	for range 1500 {
		select {
		case <-gone:
			t.Fatalf("%s ended at once", cmd.Path)
		default:
		}
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close() // it was only a knock
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s does not answer at %s", cmd.Path, addr)
}

// freeAddr is an address on loopback that nobody listens on.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil { // somebody else gets it
		t.Fatal(err)
	}
	return l.Addr().String()
}
