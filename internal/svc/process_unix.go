//go:build !windows

package svc

import (
	"errors"
	"os/exec"
	"syscall"
)

// detach puts the process at the head of a group of its own, so that signals meant for the agent do not reach it and
// all of it can be killed at once.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// signalLeader asks the process itself to stop. Its children are its own business until [killGroup].
func signalLeader(pid int, name string) error {
	sig := map[string]syscall.Signal{"INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT}[name]
	if sig == 0 {
		sig = syscall.SIGTERM
	}
	return gone(syscall.Kill(pid, sig))
}

// killGroup ends whatever is left of the process and its children.
func killGroup(pid int) error { return gone(syscall.Kill(-pid, syscall.SIGKILL)) }

func gone(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// newSession cuts the process loose from this one and its terminal.
func newSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
