package installer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"practicectl/internal/atomicfile"
)

// before keeps what files held before a transaction, so that an undo in any later process can bring it back.
type before struct{ dir string }

func (i *Installer) before() before {
	return before{filepath.Join(i.o.Layout.Journals(), "install-before")}
}

func (b before) key(path string) string {
	sum := sha256.Sum256([]byte(path))
	return filepath.Join(b.dir, hex.EncodeToString(sum[:8]))
}

const absent = ".absent"

// save remembers the content of path, or that it was not there. The first call of a transaction counts.
func (b before) save(path string) error {
	key := b.key(path)
	for _, k := range []string{key, key + absent} {
		if _, err := os.Stat(k); err == nil {
			return nil
		}
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return atomicfile.WriteBytes(key+absent, 0o600, nil)
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(key, info.Mode().Perm(), data)
}

// restore brings back what save remembered. Without a save there is nothing to bring back.
func (b before) restore(path string) error {
	key := b.key(path)
	if _, err := os.Stat(key + absent); err == nil {
		return removeFile(path)
	}
	info, err := os.Stat(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	data, err := os.ReadFile(key)
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(path, info.Mode().Perm(), data)
}

// forget is called between transactions.
func (b before) forget() error { return os.RemoveAll(b.dir) }

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
