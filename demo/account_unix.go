//go:build !windows

package demo

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"

	"practicectl/internal/uerr"
)

// isRoot reports whether the demo must hand over to an ordinary account: neither PostgreSQL nor the demo needs root.
func isRoot() bool { return os.Geteuid() == 0 }

// account is an ordinary account that root hands over to.
type account struct {
	name     string
	uid, gid int
}

// nobody finds the account of that name.
func nobody() (account, error) {
	u, err := user.Lookup("nobody")
	if err != nil {
		return account{}, uerr.New(uerr.Precond, "find the account nobody", "", err, "run the demo as an ordinary user")
	}
	uid, errU := strconv.Atoi(u.Uid)
	gid, errG := strconv.Atoi(u.Gid)
	return account{name: u.Username, uid: uid, gid: gid}, errors.Join(errU, errG)
}

// apply makes cmd run as the account.
func (a account) apply(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}}
}

// give hands a file or folder to the account.
func (a account) give(path string) error { return os.Lchown(path, a.uid, a.gid) }

// outlive puts cmd into a session of its own, so that it goes on when the demo ends.
func outlive(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

func interrupt(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

func running(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
