package updater

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"practicectl/internal/atomicfile"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// wayBack is a copy of a stopped database cluster beside the cluster. Its names say what state the data are in:
//
//	pg.wayback.unverified  being copied
//	pg.wayback             complete and on disk: the data as they were before the update
//	pg.discarded           the cluster that the copy has taken the place of, being deleted
type wayBack struct {
	data  string // PGDATA
	clone func(src, dst string) (bool, error)
}

func (w wayBack) copyPath() string  { return w.data + ".wayback" }
func (w wayBack) tmpPath() string   { return w.data + ".wayback.unverified" }
func (w wayBack) discarded() string { return w.data + ".discarded" }

// make copies the cluster. It is idempotent: a copy from an unfinished earlier run is made again. The cluster must be
// stopped.
func (w wayBack) make(ctx context.Context, p progress.Reporter) error {
	if err := errors.Join(w.stopped(), w.fits()); err != nil {
		return err
	}
	if err := w.drop(); err != nil {
		return err
	}
	total, err := treeSize(w.data)
	if err != nil {
		return err
	}
	task := p.Task("copy the database", progress.Bytes, total)
	defer task.Done()
	if err := w.copyTree(ctx, task); err != nil {
		if isNoSpace(err) {
			err = uerr.New(uerr.NoSpace, "copy the database", w.data, err, "free space on this disk, then: practicectl update apply")
		}
		return errors.Join(err, os.RemoveAll(w.tmpPath()))
	}
	return atomicfile.Rename(w.tmpPath(), w.copyPath())
}

// stopped refuses a cluster that still runs.
func (w wayBack) stopped() error {
	if _, err := os.Lstat(filepath.Join(w.data, "postmaster.pid")); err == nil {
		return uerr.New(uerr.Precond, "copy the database", w.data, errors.New("it is still running (postmaster.pid is there)"), "practicectl db stop")
	}
	return nil
}

// fits refuses clusters that a copy of the one folder would not hold.
func (w wayBack) fits() error {
	spaces, err := os.ReadDir(filepath.Join(w.data, "pg_tblspc"))
	if err != nil {
		return uerr.New(uerr.Precond, "copy the database", w.data, err, "practicectl db status")
	}
	wal, err := os.Lstat(filepath.Join(w.data, "pg_wal"))
	if err != nil || len(spaces) > 0 || !wal.IsDir() {
		return uerr.New(uerr.Precond, "copy the database", w.data, errors.New("it has tablespaces or a pg_wal folder elsewhere, which a copy of this folder would miss"),
			"move them back into the data folder")
	}
	return nil
}

func (w wayBack) copyTree(ctx context.Context, task progress.Task) error {
	err := filepath.WalkDir(w.data, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		rel, err := filepath.Rel(w.data, path)
		if err != nil {
			return err
		}
		dst := filepath.Join(w.tmpPath(), rel)
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch {
		case e.IsDir():
			return errors.Join(os.Mkdir(dst, 0o700), os.Chmod(dst, info.Mode().Perm()), sameOwner(dst, info))
		case e.Type().IsRegular():
			defer task.Add(info.Size())
			return errors.Join(w.copyFile(path, dst, info), sameOwner(dst, info))
		}
		return fmt.Errorf("%s is neither a file nor a folder", path)
	})
	if err != nil {
		return err
	}
	return syncTree(w.tmpPath())
}

// copyFile copies one file, by shared blocks where the file system can.
func (w wayBack) copyFile(src, dst string, info fs.FileInfo) error {
	shared, err := w.clone(src, dst)
	if err != nil {
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE
	if !shared {
		flags |= os.O_TRUNC
	}
	out, err := os.OpenFile(dst, flags, 0o600)
	if err != nil {
		return err
	}
	if !shared {
		in, err := os.Open(src)
		if err != nil {
			return errors.Join(err, out.Close())
		}
		n, err := io.Copy(out, in)
		if err == nil && n != info.Size() {
			err = fmt.Errorf("%s changed while it was copied", src)
		}
		if err = errors.Join(err, in.Close()); err != nil {
			return errors.Join(err, out.Close())
		}
	}
	return errors.Join(out.Chmod(info.Mode().Perm()), out.Close())
}

// restore puts the copy in the cluster's place. Without a copy it does nothing: either the cluster was never touched or an
// earlier restore has finished. The cluster must be stopped. Both exchanges are renames, so a crash leaves the data under
// one of the two names and the next restore goes on.
func (w wayBack) restore(crash func(string)) error {
	if _, err := os.Lstat(w.copyPath()); errors.Is(err, fs.ErrNotExist) {
		return w.clear()
	} else if err != nil {
		return err
	}
	if _, err := os.Lstat(w.data); err == nil {
		if err := os.RemoveAll(w.discarded()); err != nil {
			return err
		}
		crash("restore/discard")
		if err := atomicfile.Rename(w.data, w.discarded()); err != nil {
			return err
		}
	}
	crash("restore/place")
	if err := atomicfile.Rename(w.copyPath(), w.data); err != nil {
		return err
	}
	crash("restore/placed")
	return w.clear()
}

// drop deletes the copy, complete or not.
func (w wayBack) drop() error {
	// Renamed first: a half-deleted copy must not look like a complete one.
	err := atomicfile.Rename(w.copyPath(), w.tmpPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = errors.Join(os.RemoveAll(w.tmpPath()), atomicfile.Rename(w.copyPath(), w.tmpPath()))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(os.RemoveAll(w.tmpPath()), w.clear())
}

// clear deletes a cluster that a copy has replaced; never while the copy is not in place.
func (w wayBack) clear() error {
	if _, err := os.Lstat(w.data); err != nil {
		return err
	}
	return os.RemoveAll(w.discarded())
}

// treeSize returns the bytes of all files under dir. Files that go while it looks, as in a running cluster, do not count.
func treeSize(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != dir {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}
