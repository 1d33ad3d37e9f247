package archive

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"practicectl/internal/atomicfile"
	"practicectl/internal/diskspace"
	"practicectl/internal/uerr"
)

// Unpack writes the component read from r into dir, which must be empty or not exist, and makes it durable. Every
// byte is checked against component.json; a file that is not listed, listed twice, too long or reaches out of dir
// stops it. What was written before an error stays for the caller to remove. Error kinds: Integrity, NoSpace, Precond.
func Unpack(ctx context.Context, r io.Reader, dir string) (Manifest, error) {
	m, err := unpack(ctx, r, dir)
	switch {
	case err == nil, ctx.Err() != nil:
		return m, errors.Join(ctx.Err())
	case diskspace.IsFull(err):
		return Manifest{}, uerr.New(uerr.NoSpace, "unpack into", dir, err, "free some space on that disk and try again")
	}
	var onDisk *fs.PathError
	var link *os.LinkError
	if errors.As(err, &onDisk) || errors.As(err, &link) {
		return Manifest{}, uerr.New(uerr.Precond, "unpack into", dir, err, "check the folder and its permissions")
	}
	return Manifest{}, uerr.New(uerr.Integrity, "unpack into", dir, err, "fetch the component again")
}

func unpack(ctx context.Context, r io.Reader, dir string) (Manifest, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Manifest{}, err
	}
	if left, err := os.ReadDir(dir); err != nil {
		return Manifest{}, err
	} else if len(left) > 0 {
		return Manifest{}, &fs.PathError{Op: "unpack", Path: dir, Err: errors.New("folder is not empty")}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Manifest{}, err
	}
	defer root.Close()
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window), zstd.WithDecoderLowmem(true))
	if err != nil {
		return Manifest{}, err
	}
	defer z.Close()
	t := tar.NewReader(z)
	head, err := readHead(t)
	if err != nil {
		return Manifest{}, err
	}
	m, err := parseManifest(head)
	if err != nil {
		return Manifest{}, err
	}
	made := map[string]bool{".": true}
	for _, f := range m.Files {
		if err := ctx.Err(); err != nil {
			return Manifest{}, err
		}
		if err := unpackEntry(t, root, f, made); err != nil {
			return Manifest{}, err
		}
	}
	if err := atEnd(t, z); err != nil {
		return Manifest{}, err
	}
	// Links come last, so that no file was ever written through one.
	for _, f := range m.Files {
		if f.Link != "" {
			if err := root.Symlink(filepath.FromSlash(f.Link), filepath.FromSlash(f.Path)); err != nil {
				return Manifest{}, err
			}
		}
	}
	if err := writeFile(root, ManifestName, 0o644, strings.NewReader(string(head)), int64(len(head)), ""); err != nil {
		return Manifest{}, err
	}
	for d := range made {
		if err := atomicfile.SyncDir(filepath.Join(dir, filepath.FromSlash(d))); err != nil {
			return Manifest{}, err
		}
	}
	return m, nil
}

func readHead(t *tar.Reader) ([]byte, error) {
	h, err := t.Next()
	if err != nil {
		return nil, fmt.Errorf("not a component archive: %w", err)
	}
	if h.Name != ManifestName || h.Typeflag != tar.TypeReg || h.Size > maxManifest {
		return nil, fmt.Errorf("not a component archive: its first entry is not %s", ManifestName)
	}
	return io.ReadAll(io.LimitReader(t, maxManifest+1))
}

// unpackEntry reads the next entry, which must be f.
func unpackEntry(t *tar.Reader, root *os.Root, f File, made map[string]bool) error {
	h, err := t.Next()
	if err != nil {
		return fmt.Errorf("%.80q is missing: %w", f.Path, err)
	}
	want := header(f)
	if h.Name != want.Name || h.Typeflag != want.Typeflag || h.Size != want.Size || h.Linkname != want.Linkname {
		return fmt.Errorf("entry %.80q is not what %s lists", h.Name, ManifestName)
	}
	parent := path.Dir(f.Path)
	if f.Dir {
		parent = f.Path
	}
	if err := makeDirs(root, parent, made); err != nil {
		return err
	}
	if f.Dir || f.Link != "" {
		return nil
	}
	return writeFile(root, filepath.FromSlash(f.Path), fs.FileMode(want.Mode), t, f.Size, f.SHA256)
}

func makeDirs(root *os.Root, dir string, made map[string]bool) error {
	if made[dir] {
		return nil
	}
	if err := makeDirs(root, path.Dir(dir), made); err != nil {
		return err
	}
	made[dir] = true
	if err := root.Mkdir(filepath.FromSlash(dir), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return root.Chmod(filepath.FromSlash(dir), 0o755) // whatever the umask
}

func writeFile(root *os.Root, name string, mode fs.FileMode, r io.Reader, size int64, sum string) (err error) {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), r)
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("%.80q has %d bytes instead of %d", name, n, size)
	}
	if sum != "" && hex.EncodeToString(h.Sum(nil)) != sum {
		return fmt.Errorf("%.80q has the wrong SHA-256", name)
	}
	if err := f.Chmod(mode); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return f.Sync()
}

// atEnd refuses anything that follows the listed entries.
func atEnd(t *tar.Reader, z io.Reader) error {
	if h, err := t.Next(); err == nil {
		return fmt.Errorf("entry %.80q is not listed", h.Name)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(z, 64<<10))
	if err == nil && n == 64<<10 {
		err = errors.New("data follows the end of the archive")
	}
	return err
}
