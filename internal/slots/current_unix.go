//go:build !windows

package slots

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"practicectl/internal/atomicfile"
)

func readCurrent(dir string) (string, error) { return os.Readlink(filepath.Join(dir, CurrentName)) }

// The target is relative, so that the tree can be moved or mounted elsewhere.
func writeCurrent(dir, version string) error {
	return atomicfile.Symlink(version, filepath.Join(dir, CurrentName))
}

func dropCurrent(dir string) error {
	return errors.Join(os.Remove(filepath.Join(dir, CurrentName)), atomicfile.SyncDir(dir))
}

func repairCurrent(dir string) error {
	err := os.Remove(filepath.Join(dir, CurrentName+".new"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func isNotEmpty(err error) bool { return errors.Is(err, syscall.ENOTEMPTY) }
