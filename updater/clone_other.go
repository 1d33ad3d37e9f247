//go:build !linux

package updater

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"practicectl/internal/atomicfile"
)

// reflink reports that files are copied byte by byte here.
func reflink(_, _ string) (bool, error) { return false, nil }

// syncTree forces every file and folder under dir to disk.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return atomicfile.SyncDir(path)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
