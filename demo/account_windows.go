package demo

import (
	"os"
	"os/exec"
	"os/user"
)

// account is who the clinic's side of the demo runs as: the caller.
type account struct{ name string }

func findAccount() (account, error) {
	u, err := user.Current()
	if err != nil {
		return account{}, err
	}
	return account{name: u.Username}, nil
}

func (account) apply(*exec.Cmd, bool) {}
func (account) give(string) error     { return nil }

func interrupt(p *os.Process) error { return p.Kill() }

func running(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	return p.Release() == nil
}
