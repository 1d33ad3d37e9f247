package restore

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"practicectl/backup/repo"
)

// folder lays files below a folder. All names go through an os.Root, and links are made last: a snapshot written by a host
// that fell into the wrong hands must not be able to place a file elsewhere on the machine that restores it.
type folder struct {
	dir   string
	root  *os.Root
	owner func(path string) error
}

// make creates all folders, then all files with their full length.
func (d folder) make(p *Plan) error {
	for _, t := range p.trees {
		if err := d.mkdir(t.name); err != nil {
			return err
		}
		for _, f := range t.files {
			if err := d.mkdir(filepath.Dir(f.path)); err != nil {
				return err
			}
			if err := d.create(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// mkdir makes a folder and those above it, each given to the owner.
func (d folder) mkdir(rel string) error {
	if rel == "." {
		return nil
	}
	if _, err := d.root.Lstat(rel); err == nil {
		return nil
	}
	if err := d.mkdir(filepath.Dir(rel)); err != nil {
		return err
	}
	if err := d.root.Mkdir(rel, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return writeError(rel, err)
	}
	return d.own(rel)
}

func (d folder) create(f *file) error {
	switch f.Kind {
	case repo.Dir:
		return d.mkdir(f.path)
	case repo.Link:
		return nil
	}
	out, err := d.root.OpenFile(f.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return writeError(f.path, err)
	}
	err = out.Truncate(f.Size)
	if err = errors.Join(err, out.Close()); err != nil {
		return writeError(f.path, err)
	}
	return d.own(f.path)
}

// open implements sink.
func (d folder) open(f *file) (io.WriterAt, func() error, error) {
	out, err := d.root.OpenFile(f.path, os.O_WRONLY, 0)
	if err != nil {
		return nil, nil, writeError(f.path, err)
	}
	return out, out.Close, nil
}

// finish makes links and sets modes and times, deepest entries first, so that a folder without write permission is closed
// when nothing has to be written into it any more.
func (d folder) finish(p *Plan) error {
	for _, t := range p.trees {
		for i := len(t.files) - 1; i >= 0; i-- {
			f := t.files[i]
			var err error
			if f.Kind == repo.Link {
				err = d.root.Symlink(f.Target, f.path)
			} else {
				err = d.dress(f)
			}
			if err != nil {
				return writeError(f.path, err)
			}
		}
	}
	return nil
}

func (d folder) dress(f *file) error {
	if err := d.root.Chmod(f.path, fs.FileMode(f.Mode)); err != nil {
		return err
	}
	if f.MTime == 0 {
		return nil
	}
	when := time.Unix(f.MTime, 0)
	return d.root.Chtimes(f.path, when, when)
}

func (d folder) own(rel string) error {
	if d.owner == nil {
		return nil
	}
	path := filepath.Join(d.dir, rel)
	if err := d.owner(path); err != nil {
		return writeError(path, err)
	}
	return nil
}
