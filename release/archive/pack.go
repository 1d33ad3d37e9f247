package archive

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"practicectl/internal/diskspace"
	"practicectl/internal/uerr"
)

// Effort is how hard to compress. It is part of what makes an archive reproducible.
type Effort int

// The efforts.
const (
	Best Effort = iota // releases
	Fast               // demo and tests
)

// Pack writes the files of root as the archive of component m and returns m completed with its file list. The modes,
// times and owners of the files do not matter, only whether they are executable. Error kinds: Precond when root holds
// something that cannot be packed, NoSpace, Failed when w or root fails.
func Pack(ctx context.Context, w io.Writer, m Manifest, root fs.FS, effort Effort) (Manifest, error) {
	fail := func(err error) (Manifest, error) {
		if diskspace.IsFull(err) {
			return Manifest{}, uerr.New(uerr.NoSpace, "pack component", m.Name+" "+m.Version, err, "free some space on that disk and try again")
		}
		return Manifest{}, uerr.New(uerr.Failed, "pack component", m.Name+" "+m.Version, err, "")
	}
	m.Schema = Schema
	m.Requires = slices.Sorted(slices.Values(m.Requires))
	var err error
	if m.Files, err = survey(ctx, root); err != nil {
		return fail(err)
	}
	if err := m.check(); err != nil {
		return Manifest{}, uerr.New(uerr.Precond, "pack component", m.Name+" "+m.Version, err, "rename or remove that file")
	}
	head, err := m.Encode()
	if err != nil {
		return fail(err)
	}
	level := zstd.SpeedBestCompression
	if effort == Fast {
		level = zstd.SpeedFastest
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true), zstd.WithWindowSize(window))
	if err != nil {
		return fail(err)
	}
	t := tar.NewWriter(z)
	if err := writeEntry(t, header(File{Path: ManifestName, Mode: "0644", Size: int64(len(head))}), strings.NewReader(string(head))); err != nil {
		return fail(err)
	}
	for _, f := range m.Files {
		if err := ctx.Err(); err != nil {
			return Manifest{}, err
		}
		if err := packFile(t, root, f); err != nil {
			return fail(err)
		}
	}
	if err := t.Close(); err != nil {
		return fail(err)
	}
	if err := z.Close(); err != nil {
		return fail(err)
	}
	return m, nil
}

// window is the zstd window: what a reader must be able to hold.
const window = 8 << 20

// survey lists root in order and hashes every file.
func survey(ctx context.Context, root fs.FS) ([]File, error) {
	var files []File
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == "." {
			return ctx.Err()
		}
		switch typ := d.Type(); {
		case typ.IsDir():
			inside, err := fs.ReadDir(root, name)
			if err == nil && len(inside) == 0 {
				files = append(files, File{Path: name, Dir: true})
			}
			return err
		case typ&fs.ModeSymlink != 0:
			to, err := fs.ReadLink(root, name)
			files = append(files, File{Path: name, Link: path.Clean(strings.ReplaceAll(to, `\`, "/"))})
			return err
		case typ.IsRegular():
			f, err := hashFile(root, name)
			files = append(files, f)
			return err
		}
		return fmt.Errorf("%s is neither a file, a folder nor a link", name)
	})
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, err
}

func hashFile(root fs.FS, name string) (File, error) {
	r, err := root.Open(name)
	if err != nil {
		return File{}, err
	}
	defer r.Close()
	st, err := r.Stat()
	if err != nil {
		return File{}, err
	}
	h := sha256.New()
	n, err := io.Copy(h, r)
	mode := "0644"
	if st.Mode()&0o111 != 0 {
		mode = "0755"
	}
	return File{Path: name, SHA256: hex.EncodeToString(h.Sum(nil)), Mode: mode, Size: n}, err
}

func packFile(t *tar.Writer, root fs.FS, f File) error {
	if f.Dir || f.Link != "" {
		return writeEntry(t, header(f), nil)
	}
	r, err := root.Open(f.Path)
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	if err := writeEntry(t, header(f), io.TeeReader(r, h)); err != nil {
		return err
	}
	if hex.EncodeToString(h.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("%s changed while it was packed", f.Path)
	}
	return nil
}

func writeEntry(t *tar.Writer, h *tar.Header, content io.Reader) error {
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	if content == nil {
		return nil
	}
	n, err := io.Copy(t, io.LimitReader(content, h.Size))
	if err == nil && n != h.Size {
		err = fmt.Errorf("%s changed while it was packed", h.Name)
	}
	return err
}

// header is the tar header of an entry with everything fixed that could differ between two builds.
func header(f File) *tar.Header {
	h := &tar.Header{Name: f.Path, Size: f.Size, Typeflag: tar.TypeReg, Mode: 0o644, ModTime: time.Unix(0, 0).UTC(), Format: tar.FormatPAX}
	switch {
	case f.Dir:
		h.Typeflag, h.Mode, h.Name = tar.TypeDir, 0o755, f.Path+"/"
	case f.Link != "":
		h.Typeflag, h.Mode, h.Linkname = tar.TypeSymlink, 0o777, f.Link
	case f.Mode == "0755":
		h.Mode = 0o755
	}
	return h
}
