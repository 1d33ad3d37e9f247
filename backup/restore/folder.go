package restore

import (
	"errors"
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
	made  map[string]bool // folders that are known to be there
}

// make creates the folders and files that are wanted, with their full length. Files that are there already keep their content.
func (d folder) make(p *Plan, wanted func(*file) bool) error {
	for _, t := range p.trees {
		if err := d.mkdir(p.treeDir(t.name)); err != nil {
			return err
		}
		for _, f := range t.files {
			if !wanted(f) {
				continue
			}
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
	if rel == "." || d.made[rel] {
		return nil
	}
	if _, err := d.root.Lstat(rel); err == nil {
		d.made[rel] = true
		return nil
	}
	if err := d.mkdir(filepath.Dir(rel)); err != nil {
		return err
	}
	if err := d.root.Mkdir(rel, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return writeError(rel, err)
	}
	d.made[rel] = true
	return d.own(rel)
}

func (d folder) create(f *file) error {
	switch f.Kind {
	case repo.Dir:
		return d.mkdir(f.path)
	case repo.Link:
		return nil
	}
	if f.there >= 0 {
		return d.resize(f)
	}
	out, err := d.root.OpenFile(f.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return writeError(f.path, err)
	}
	if err = out.Truncate(f.Size); err == nil && f.Size >= repo.MaxFrame {
		err = reserve(out, f.Size)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return writeError(f.path, err)
	}
	return d.own(f.path)
}

// resize gives a file that was there its length.
func (d folder) resize(f *file) error {
	if f.there == f.Size {
		return nil
	}
	out, err := d.root.OpenFile(f.path, os.O_WRONLY, 0)
	if err == nil {
		err = errors.Join(out.Truncate(f.Size), out.Close())
	}
	return writeErrorOrNil(f.path, err)
}

// open implements sink.
func (d folder) open(f *file) (output, error) {
	out, err := d.root.OpenFile(f.path, os.O_WRONLY, 0)
	if err != nil {
		return nil, writeError(f.path, err)
	}
	return &written{File: out}, nil
}

// written is a file that is sent on its way to the disk while more is fetched.
type written struct {
	*os.File
	from, to int64
}

// WriteAt implements io.WriterAt.
func (w *written) WriteAt(b []byte, at int64) (int, error) {
	if w.to == 0 {
		w.from = at
	}
	w.from, w.to = min(w.from, at), max(w.to, at+int64(len(b)))
	return w.File.WriteAt(b, at)
}

// Close implements io.Closer.
func (w *written) Close() error {
	if w.to-w.from >= repo.MaxFrame {
		startWriteback(w.File, w.from, w.to-w.from)
	}
	return w.File.Close()
}

// treeDir is the folder of a tree below the target.
func (p *Plan) treeDir(tree string) string {
	if tree == dataDir {
		return p.data
	}
	return tree
}

// mode is the type bits of what an entry becomes.
func (f *file) mode() fs.FileMode {
	switch f.Kind {
	case repo.Dir:
		return fs.ModeDir
	case repo.Link:
		return fs.ModeSymlink
	}
	return 0
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
