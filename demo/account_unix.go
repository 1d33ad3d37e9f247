//go:build !windows

package demo

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"practicectl/internal/uerr"
)

// account is who the clinic's side of the demo runs as: the caller, or nobody when the caller is root, because neither
// PostgreSQL nor the demo needs root.
type account struct {
	name     string
	uid, gid int
	drop     bool
}

func findAccount() (account, error) {
	if os.Geteuid() != 0 {
		u, err := user.Current()
		if err != nil {
			return account{}, uerr.New(uerr.Precond, "find the name of the account", "", err, "PostgreSQL needs an account with a name: add the user to /etc/passwd")
		}
		return account{name: u.Username, uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return account{}, uerr.New(uerr.Precond, "find the account nobody", "", err, "run the demo as an ordinary user")
	}
	uid, errU := strconv.Atoi(u.Uid)
	gid, errG := strconv.Atoi(u.Gid)
	if err := errors.Join(errU, errG); err != nil {
		return account{}, err
	}
	return account{name: u.Username, uid: uid, gid: gid, drop: true}, nil
}

// apply makes cmd run as the account, in a session of its own when it is to outlive the demo.
func (a account) apply(cmd *exec.Cmd, detached bool) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: detached}
	if a.drop {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
}

// give hands everything below path to the account.
func (a account) give(path string) error {
	if !a.drop {
		return nil
	}
	return filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, a.uid, a.gid)
	})
}

func interrupt(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

func running(pid int) bool { return syscall.Kill(pid, 0) == nil }
