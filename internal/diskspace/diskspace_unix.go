//go:build !windows

package diskspace

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// IsFull reports whether err means that the disk or a quota is full.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Free returns the bytes that this user may still write to the file system of path, which must exist.
func Free(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // the types differ between systems
}
