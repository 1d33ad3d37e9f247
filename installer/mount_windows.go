package installer

import (
	"io/fs"
	"os"
	"path/filepath"
)

// mountBelow returns the first junction or mount point below dir; "" when there is none.
func mountBelow(dir string) (string, error) {
	found := ""
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Type()&(os.ModeSymlink|os.ModeIrregular) != 0 {
			found = path
			return fs.SkipAll
		}
		return nil
	})
	return found, err
}
