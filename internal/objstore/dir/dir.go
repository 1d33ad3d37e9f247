// Package dir is an object store in a local folder, such as a second disk or a USB disk.
//
// An object is a file of the same path, written as temp → fsync → link or rename → fsync of the folder. Nothing
// outside the folder can be reached, not even through symbolic links inside it.
package dir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"practicectl/internal/atomicfile"
	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

const (
	tempDir    = ".tmp"         // objects on their way
	tempMark   = "put-"         // how their names begin
	maxPutTime = 24 * time.Hour // an object on its way for longer is garbage
	lockName   = ".lock"        // held while a key that may exist is replaced or removed
)

type store struct {
	path string
	root *os.Root
	link func(from, to string) error // root.Link, but in tests
}

// Open opens the folder path, which must exist: a folder that is not there may be a disk that is not mounted, and
// is never made silently. Error kind: Unreachable.
func Open(path string) (objstore.Store, error) {
	const op = "open the store folder"
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, uerr.New(uerr.Precond, op, path, err, "")
	}
	root, err := os.OpenRoot(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, uerr.New(uerr.Unreachable, op, abs, fmt.Errorf("%w: there is no such folder", objstore.ErrUnreachable),
			fmt.Sprintf("mount the disk, or make the folder: mkdir -p %q", abs))
	case errors.Is(err, fs.ErrPermission):
		return nil, uerr.New(uerr.Auth, op, abs, fmt.Errorf("%w: %w", objstore.ErrAuth, cause(err)), "give this user the right to write there")
	case err != nil:
		return nil, uerr.New(uerr.Precond, op, abs, cause(err), "name a folder")
	}
	s := &store{path: abs, root: root, link: root.Link}
	s.sweep(time.Now().Add(-maxPutTime))
	return s, nil
}

// sweep removes what killed writers left before the given time. It is only tidying: errors do not matter.
func (s *store) sweep(before time.Time) {
	left, err := fs.ReadDir(s.root.FS(), tempDir)
	if err != nil {
		return
	}
	for _, e := range left {
		if st, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), tempMark) && st.ModTime().Before(before) {
			_ = s.root.Remove(filepath.Join(tempDir, e.Name()))
		}
	}
}

// Create makes the folder path, whose parent must exist, and opens it. A folder that is there is just opened.
func Create(path string) (objstore.Store, error) {
	if err := os.Mkdir(path, 0o700); err == nil {
		if err := atomicfile.SyncDir(filepath.Dir(path)); err != nil {
			return nil, uerr.New(uerr.Precond, "make the store folder", path, err, "")
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return nil, uerr.New(uerr.Unreachable, "make the store folder", path, fmt.Errorf("%w: %w", objstore.ErrUnreachable, cause(err)),
			"mount the disk, or make the folder above it")
	}
	return Open(path)
}

func (s *store) String() string { return "folder " + s.path }

func (s *store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	body, err := s.get(ctx, key, off, n)
	return body, s.wrap("read", key, err)
}

// GetVersion knows only the newest version.
func (s *store) GetVersion(ctx context.Context, key, version string, off, n int64) (io.ReadCloser, error) {
	if version != "" {
		return nil, s.wrap("read", key, objstore.ErrNotFound)
	}
	return s.Get(ctx, key, off, n)
}

func (s *store) get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := errors.Join(ctx.Err(), objstore.CheckKey(key)); err != nil {
		return nil, err
	}
	if off < 0 {
		return nil, errors.New("negative offset")
	}
	f, err := s.root.Open(filepath.FromSlash(key))
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = objstore.ErrNotFound
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	rest := max(st.Size()-off, 0)
	if n < 0 || n > rest {
		n = rest
	}
	return &body{ctx: ctx, r: io.NewSectionReader(f, off, n), f: f, s: s, key: key}, nil
}

type body struct {
	ctx context.Context
	r   io.Reader
	f   *os.File
	s   *store
	key string
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.s.wrap("read", b.key, err)
	}
	return n, err
}

func (b *body) Close() error { return b.f.Close() }

func (s *store) Stat(ctx context.Context, key string) (objstore.Info, error) {
	info, err := s.stat(ctx, key)
	return info, s.wrap("look up", key, err)
}

// StatVersion knows only the newest version.
func (s *store) StatVersion(ctx context.Context, key, version string) (objstore.Info, error) {
	if version != "" {
		return objstore.Info{}, s.wrap("look up", key, objstore.ErrNotFound)
	}
	return s.Stat(ctx, key)
}

func (s *store) stat(ctx context.Context, key string) (objstore.Info, error) {
	if err := errors.Join(ctx.Err(), objstore.CheckKey(key)); err != nil {
		return objstore.Info{}, err
	}
	st, err := s.root.Lstat(filepath.FromSlash(key))
	if err != nil {
		return objstore.Info{}, err
	}
	if !st.Mode().IsRegular() {
		return objstore.Info{}, objstore.ErrNotFound
	}
	return describe(key, st), nil
}

func describe(key string, st fs.FileInfo) objstore.Info {
	return objstore.Info{Key: key, Size: st.Size(), ETag: tag(st), Modified: st.ModTime().UTC()}
}

func (s *store) Delete(ctx context.Context, key string) error {
	return s.wrap("delete", key, s.delete(ctx, key))
}

// DeleteVersion knows only the newest version.
func (s *store) DeleteVersion(ctx context.Context, key, version string) error {
	if version != "" {
		return ctx.Err()
	}
	return s.Delete(ctx, key)
}

func (s *store) delete(ctx context.Context, key string) error {
	if err := errors.Join(ctx.Err(), objstore.CheckKey(key)); err != nil {
		return err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	switch _, err := s.stat(ctx, key); {
	case missing(err):
		return nil
	case err != nil:
		return err
	}
	name := filepath.FromSlash(key)
	if err := s.root.Remove(name); err != nil && !missing(err) {
		return err
	}
	return s.syncDir(filepath.Dir(name))
}

func (s *store) Retain(_ context.Context, key, _ string, _ time.Time) error {
	return s.wrap("lock", key, fmt.Errorf("%w: a folder cannot lock objects", objstore.ErrUnsupported))
}

func (s *store) Versions(ctx context.Context, key string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		info, err := s.stat(ctx, key)
		switch {
		case missing(err):
		default:
			yield(info, s.wrap("look up", key, err))
		}
	}
}

// AllVersions yields what List yields: nothing else is kept.
func (s *store) AllVersions(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return s.List(ctx, prefix)
}

// Probe writes under a scratch key twice, with and without the condition.
func (s *store) Probe(ctx context.Context) (objstore.Capabilities, error) {
	return objstore.ProbeConditions(ctx, s, "probe/"+rand.Text())
}

// lock excludes other processes and goroutines from replacing or removing objects.
func (s *store) lock(ctx context.Context) (func(), error) {
	f := flock.New(filepath.Join(s.path, lockName), flock.SetPermissions(0o600))
	if _, err := f.TryLockContext(ctx, 5*time.Millisecond); err != nil {
		return nil, err
	}
	return func() { _ = f.Close() }, nil // closing a kernel lock cannot fail in a way that keeps it
}

func (s *store) syncDir(name string) error {
	return atomicfile.SyncDir(filepath.Join(s.path, name))
}
