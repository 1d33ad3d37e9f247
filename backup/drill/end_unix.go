//go:build !windows

package drill

import (
	"errors"
	"syscall"
)

// endNow makes a PostgreSQL server end at once, as pg_ctl stop -m immediate does.
func endNow(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// alive tells whether there is such a process.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
