//go:build !windows

package pgcluster

import "golang.org/x/sys/unix"

// diskSize returns the size in bytes of the file system that holds path, or 0 when it cannot be told.
func diskSize(path string) uint64 {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return 0
	}
	return st.Blocks * uint64(st.Bsize) // block sizes are positive
}
