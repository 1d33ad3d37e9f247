package paths

import "io/fs"

// ownedByUs trusts the folder: each Windows account has a temporary directory of its own.
func ownedByUs(fs.FileInfo) bool { return true }
