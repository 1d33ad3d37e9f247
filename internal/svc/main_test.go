//go:build linux

package svc

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the program that the services under test run.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "child" {
		child(os.Args[2], os.Args[3:])
		return
	}
	os.Exit(m.Run())
}

func child(mode string, args []string) {
	fmt.Println("child", mode, os.Getpid())
	switch mode {
	case "crash":
		os.Exit(3)
	case "listen": // SOCKET [SIGNAL-FILE]: serves until INT or TERM and writes which one it was
		l, err := net.Listen("unix", args[0])
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		sig := make(chan os.Signal, 1)
		signal.Notify(sig, syscall.SIGINT, syscall.SIGTERM)
		got := <-sig
		if len(args) > 1 {
			_ = os.WriteFile(args[1], []byte(got.String()), 0o600)
		}
		_ = l.Close()
	case "stubborn": // ignores TERM and has a child of its own that does too
		signal.Ignore(syscall.SIGTERM)
		if len(args) > 0 {
			c := exec.Command(os.Args[0], "child", "stubborn")
			c.Stdout = os.Stdout
			if err := c.Start(); err == nil {
				_ = os.WriteFile(args[0], []byte(fmt.Sprint(c.Process.Pid)), 0o600)
			}
		}
		time.Sleep(time.Hour)
	case "agent": // DIR
		if err := RunAgent(interruptible(), agentOptions(args[0])); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	case "touch": // FILE EXIT
		_ = os.WriteFile(args[0], nil, 0o600)
		if args[1] != "0" {
			os.Exit(7)
		}
	}
}

func service(t *testing.T, name string, args ...string) Service {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Service{Name: name, Command: append([]string{self, "child"}, args...), LogFile: filepath.Join(shortDir(t), name+".log"),
		StopTimeout: 5 * time.Second, ReadyWithin: 10 * time.Second}
}

// shortDir is a folder whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "svc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func alive(pid int) bool {
	return processMark(pid) != ""
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

func readable(path string) bool {
	info, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist) && info.Size() > 0
}
