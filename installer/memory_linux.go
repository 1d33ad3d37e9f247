package installer

import "golang.org/x/sys/unix"

// memory returns the bytes of memory of this machine.
func memory() (int64, bool) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, false
	}
	return int64(info.Totalram) * int64(info.Unit), true //nolint:unconvert // the types differ between architectures
}
