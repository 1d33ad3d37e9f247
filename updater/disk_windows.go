package updater

import (
	"errors"
	"io/fs"
	"math"

	"golang.org/x/sys/windows"
)

// freeBytes returns what this user may still write on dir's volume.
func freeBytes(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(min(free, math.MaxInt64)), nil //nolint:gosec // bounded
}

// sameOwner has nothing to do: a new file inherits the access list of its folder.
func sameOwner(string, fs.FileInfo) error { return nil }

func isNoSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}
