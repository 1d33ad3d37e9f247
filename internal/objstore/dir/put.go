package dir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"practicectl/internal/objstore"
)

func (s *store) Put(ctx context.Context, key string, r io.Reader, size int64, o objstore.PutOptions) (objstore.Info, error) {
	info, err := s.put(ctx, key, r, size, o)
	if isNotDir(err) {
		err = fmt.Errorf("%w: a part of its path is an object itself", objstore.ErrUnsupported)
	}
	return info, s.wrap("write", key, err)
}

func (s *store) put(ctx context.Context, key string, r io.Reader, size int64, o objstore.PutOptions) (info objstore.Info, err error) {
	if err := errors.Join(ctx.Err(), objstore.CheckKey(key)); err != nil {
		return info, err
	}
	if !o.RetainUntil.IsZero() {
		return info, fmt.Errorf("%w: a folder cannot lock objects", objstore.ErrUnsupported)
	}
	name := filepath.FromSlash(key)
	if o.IfAbsent { // spares the upload; the link below is what decides
		if _, err := s.root.Lstat(name); err == nil {
			return info, objstore.ErrExists
		}
	}
	temp, st, err := s.writeTemp(ctx, r, size)
	if err != nil {
		return info, err
	}
	placed := false
	defer func() {
		if !placed {
			if rerr := s.root.Remove(temp); !missing(rerr) {
				err = errors.Join(err, rerr)
			}
		}
	}()
	if err := s.mkdirs(filepath.Dir(name)); err != nil {
		return info, err
	}
	if o.IfAbsent {
		err = s.placeNew(ctx, temp, name)
	} else {
		placed, err = s.replace(ctx, temp, name, key, o.IfMatch)
	}
	if err != nil {
		return info, err
	}
	return describe(key, st), s.syncDir(filepath.Dir(name))
}

// writeTemp stores exactly size bytes of r in a temporary file and makes them durable.
func (s *store) writeTemp(ctx context.Context, r io.Reader, size int64) (_ string, st fs.FileInfo, err error) {
	if err := s.mkdirs(tempDir); err != nil {
		return "", nil, err
	}
	name := filepath.Join(tempDir, tempMark+rand.Text())
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // the first error is the one that counts
			err = errors.Join(err, s.root.Remove(name))
		}
	}()
	n, err := io.Copy(f, io.LimitReader(&ctxReader{ctx, r}, size))
	if err != nil {
		return "", nil, err
	}
	if n < size {
		return "", nil, fmt.Errorf("%w: got %d of %d bytes", io.ErrUnexpectedEOF, n, size)
	}
	if extra, _ := io.CopyN(io.Discard, r, 1); extra > 0 {
		return "", nil, fmt.Errorf("there are more than the promised %d bytes", size)
	}
	if err := f.Sync(); err != nil {
		return "", nil, err
	}
	if err := f.Close(); err != nil {
		return "", nil, err
	}
	// The kernel's own time stamps are coarse; the tag of an object needs one that changes with every write.
	now := time.Now()
	if err := s.root.Chtimes(name, now, now); err != nil {
		return "", nil, err
	}
	st, err = s.root.Lstat(name)
	return name, st, err
}

// placeNew gives temp its name unless the name is taken. A hard link does that in one step; where the file system
// has none (FAT, some network shares) the store's lock stands in.
func (s *store) placeNew(ctx context.Context, temp, name string) error {
	err := s.link(temp, name)
	switch {
	case err == nil:
		return s.root.Remove(temp)
	case errors.Is(err, fs.ErrExist):
		return objstore.ErrExists
	case !noHardLinks(err):
		return err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := s.root.Lstat(name); err == nil {
		return objstore.ErrExists
	}
	return s.root.Rename(temp, name)
}

func (s *store) replace(ctx context.Context, temp, name, key, ifMatch string) (placed bool, err error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	if ifMatch != "" {
		switch now, err := s.stat(ctx, key); {
		case missing(err):
			return false, objstore.ErrChanged
		case err != nil:
			return false, err
		case now.ETag != ifMatch:
			return false, objstore.ErrChanged
		}
	}
	err = s.root.Rename(temp, name)
	return err == nil, err
}

// mkdirs makes the folders of dir durable, parents first.
func (s *store) mkdirs(dir string) error {
	if dir == "." {
		return nil
	}
	if st, err := s.root.Stat(dir); err == nil {
		if !st.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if err := s.mkdirs(parent); err != nil {
		return err
	}
	if err := s.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return s.syncDir(parent)
}

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
