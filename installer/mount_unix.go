//go:build !windows

package installer

import (
	"io/fs"
	"path/filepath"
	"syscall"
)

// mountBelow returns the first folder below dir that is on another file system; "" when there is none.
func mountBelow(dir string) (string, error) {
	found := ""
	var device uint64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return nil
		}
		switch dev := uint64(st.Dev); { //nolint:unconvert // the types differ between systems
		case path == dir:
			device = dev
		case dev != device:
			found = path
			return fs.SkipAll
		}
		return nil
	})
	return found, err
}
