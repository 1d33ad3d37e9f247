package atomicfile

// SyncDir does nothing: NTFS journals directory entries itself and cannot flush a directory handle.
func SyncDir(string) error { return nil }
