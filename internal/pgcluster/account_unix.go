//go:build !windows

package pgcluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"

	"practicectl/internal/uerr"
)

const exeSuffix = ""

// LookupAccount finds an account by name. Error kind: Precond.
func LookupAccount(name string) (*Account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, uerr.New(uerr.Precond, "find the account", name, err, "make it: useradd --system "+name)
	}
	uid, errU := strconv.ParseUint(u.Uid, 10, 32)
	gid, errG := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errU, errG); err != nil {
		return nil, uerr.New(uerr.Precond, "read the account", name, err, "")
	}
	return &Account{Name: u.Username, UID: uint32(uid), GID: uint32(gid)}, nil
}

// ownerName is the name that peer authentication sees for the account which runs the server.
func (c *Cluster) ownerName() (string, error) {
	if c.RunAs != nil {
		return c.RunAs.Name, nil
	}
	u, err := user.LookupId(strconv.Itoa(os.Geteuid()))
	if err != nil {
		return "", uerr.New(uerr.Precond, "find the name of the account", strconv.Itoa(os.Geteuid()), err,
			"PostgreSQL needs an account with a name: add the user to /etc/passwd")
	}
	return u.Username, nil
}

// runnable refuses root without an account to drop to: PostgreSQL does not run as root.
func (c *Cluster) runnable(op string) error {
	if c.RunAs == nil && os.Geteuid() == 0 {
		return uerr.New(uerr.Precond, op, c.Data, errors.New("PostgreSQL does not run as root"),
			"run the command as an ordinary user, or name the account that owns the cluster")
	}
	if c.RunAs != nil && c.RunAs.UID == 0 {
		return uerr.New(uerr.Precond, op, c.Data, errors.New("PostgreSQL does not run as root"), "choose an account other than root")
	}
	return nil
}

// Credential makes cmd run as the cluster's account when the caller is root, in a session of its own.
func (c *Cluster) Credential(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.RunAs != nil && os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.RunAs.UID, Gid: c.RunAs.GID}
	}
}

// give hands a path to the cluster's account.
func (c *Cluster) give(path string) error {
	if c.RunAs == nil || os.Geteuid() != 0 {
		return nil
	}
	if err := os.Lchown(path, int(c.RunAs.UID), int(c.RunAs.GID)); err != nil {
		return fmt.Errorf("give %s to %s: %w", path, c.RunAs.Name, err)
	}
	return nil
}

func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// endNow makes a PostgreSQL server end at once, as pg_ctl stop -m immediate does.
func endNow(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
