package pgcluster

import (
	"os"
	"os/exec"
	"os/user"

	"practicectl/internal/uerr"
)

const exeSuffix = ".exe"

// LookupAccount finds an account by name. Error kind: Precond.
func LookupAccount(name string) (*Account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, uerr.New(uerr.Precond, "find the account", name, err, "")
	}
	return &Account{Name: u.Username}, nil
}

func (c *Cluster) ownerName() (string, error) {
	if c.RunAs != nil {
		return c.RunAs.Name, nil
	}
	u, err := user.Current()
	if err != nil {
		return "", uerr.New(uerr.Precond, "find the name of the account", "", err, "")
	}
	return u.Username, nil
}

func (c *Cluster) runnable(string) error { return nil }

// Credential leaves cmd as it is: services get their account from the service manager.
func (c *Cluster) Credential(*exec.Cmd) {}

func (c *Cluster) give(string) error { return nil }

func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	_ = p.Release() // the handle only proved that the process exists
	return true
}

// endNow ends a process; Windows has no polite way for one that is not a child.
func endNow(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return nil // it is gone
	}
	return p.Kill()
}
