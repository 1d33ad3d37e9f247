package pgcluster

import "golang.org/x/sys/windows"

// diskSize returns the size in bytes of the volume that holds path, or 0 when it cannot be told.
func diskSize(path string) uint64 {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0
	}
	var free, total, all uint64
	if windows.GetDiskFreeSpaceEx(p, &free, &total, &all) != nil {
		return 0
	}
	return total
}
