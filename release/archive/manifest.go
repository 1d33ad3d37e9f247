// Package archive packs one component into a reproducible .tar.zst and unpacks it without trusting it.
//
// The same files always give the same bytes: entries are sorted, times, owners and modes fixed, compression
// single-threaded. The first entry, component.json, names every file with its SHA-256; nothing else may follow.
package archive

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"practicectl/internal/uerr"
)

// ManifestName is the first entry of an archive and a file of an unpacked component.
const ManifestName = "component.json"

// Bounds of an archive. A signed mistake must not fill a disk or the memory.
const (
	maxManifest = 8 << 20
	maxFiles    = 50_000
	maxTotal    = 8 << 30
	maxName     = 400
)

// Schema is the version of the component.json format.
const Schema = 1

// Manifest describes a component: component.json.
type Manifest struct {
	Schema   int      `json:"schema"`
	Name     string   `json:"name"`
	Version  string   `json:"version"`
	OS       string   `json:"os"`
	Arch     string   `json:"arch"`
	Summary  string   `json:"summary,omitempty"`  // one line for people
	Requires []string `json:"requires,omitempty"` // names of components that must be installed too
	Files    []File   `json:"files"`              // sorted by path
}

// File is one entry of a component: a regular file, a symbolic link (Link set) or an empty folder (Dir).
type File struct {
	Path   string `json:"path"` // slash-separated, relative
	SHA256 string `json:"sha256,omitempty"`
	Mode   string `json:"mode,omitempty"` // "0644" or "0755"
	Size   int64  `json:"size,omitempty"` // bytes
	Link   string `json:"link,omitempty"` // relative target inside the component
	Dir    bool   `json:"dir,omitempty"`
}

// Size is the bytes of all files.
func (m Manifest) Size() int64 {
	var n int64
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// Encode returns component.json. The same manifest always gives the same bytes.
func (m Manifest) Encode() ([]byte, error) {
	data, err := json.MarshalIndent(m, "", " ")
	return append(data, '\n'), err
}

// ReadManifest reads component.json of an unpacked component. Error kinds: NotFound, Integrity.
func ReadManifest(dir string) (Manifest, error) {
	f, err := os.Open(filepath.Join(dir, ManifestName))
	if errors.Is(err, os.ErrNotExist) {
		return Manifest{}, uerr.New(uerr.NotFound, "read the component in", dir, err, "practicectl component list")
	}
	if err != nil {
		return Manifest{}, uerr.New(uerr.Precond, "read the component in", dir, err, "")
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return Manifest{}, uerr.New(uerr.Failed, "read the component in", dir, err, "")
	}
	m, err := parseManifest(data)
	if err != nil {
		return Manifest{}, uerr.New(uerr.Integrity, "read the component in", dir, err, "practicectl component verify")
	}
	return m, nil
}

func parseManifest(data []byte) (Manifest, error) {
	var m Manifest
	if len(data) > maxManifest {
		return m, fmt.Errorf("%s is larger than %d bytes", ManifestName, maxManifest)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", ManifestName, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Manifest{}, fmt.Errorf("%s: more than one JSON value", ManifestName)
	}
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", ManifestName, err)
	}
	return m, nil
}

var (
	nameShape = regexp.MustCompile(`^[a-z][a-z0-9-]{1,40}$`)
	wordShape = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.-]{0,63}$`)
)

// check refuses everything that could write outside the component's folder, over another entry, or without bounds.
func (m Manifest) check() error {
	if m.Schema > Schema {
		return fmt.Errorf("format %d is made for a newer version of this program", m.Schema)
	}
	for _, w := range []string{m.Version, m.OS, m.Arch} {
		if !wordShape.MatchString(w) {
			return fmt.Errorf("version, os or arch %.40q", w)
		}
	}
	if !nameShape.MatchString(m.Name) {
		return fmt.Errorf("component name %.40q", m.Name)
	}
	if len(m.Files) > maxFiles {
		return fmt.Errorf("more than %d files", maxFiles)
	}
	seen := make(map[string]bool, len(m.Files)) // lower-cased: Windows and macOS do not tell case apart
	var total int64
	for i, f := range m.Files {
		if err := checkEntry(f); err != nil {
			return err
		}
		if i > 0 && m.Files[i-1].Path >= f.Path {
			return fmt.Errorf("%.80q is out of order", f.Path)
		}
		low := strings.ToLower(f.Path)
		if seen[low] || low == ManifestName {
			return fmt.Errorf("%.80q is listed twice", f.Path)
		}
		seen[low] = true
		if total += f.Size; total > maxTotal {
			return fmt.Errorf("more than %d bytes", int64(maxTotal))
		}
	}
	for _, f := range m.Files {
		for p := path.Dir(strings.ToLower(f.Path)); p != "."; p = path.Dir(p) {
			if seen[p] {
				return fmt.Errorf("%.80q lies below something that is not a folder", f.Path)
			}
		}
	}
	return nil
}

func checkEntry(f File) error {
	if err := checkName(f.Path); err != nil {
		return err
	}
	bad := func(what string) error { return fmt.Errorf("%.80q: %s", f.Path, what) }
	switch {
	case f.Dir:
		if f.Link != "" || f.Size != 0 || f.SHA256 != "" {
			return bad("an empty folder has no content")
		}
	case f.Link != "":
		if f.Size != 0 || f.SHA256 != "" {
			return bad("a link has no content")
		}
		return checkLink(f)
	default:
		sum, err := hex.DecodeString(f.SHA256)
		if err != nil || len(sum) != 32 || f.Size < 0 || (f.Mode != "0644" && f.Mode != "0755") {
			return bad("hash, size or mode")
		}
	}
	return nil
}

func checkName(name string) error {
	if name == "" || len(name) > maxName || path.Clean(name) != name || path.IsAbs(name) || name == "." ||
		name == ".." || strings.HasPrefix(name, "../") || !filepath.IsLocal(filepath.FromSlash(name)) {
		return fmt.Errorf("%.80q is not a safe relative name", name)
	}
	if i := strings.IndexFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f || r == 0xfffd || strings.ContainsRune(`\:*?"<>|`, r) }); i >= 0 {
		return fmt.Errorf("%.80q has a character that not every system can store", name)
	}
	for s := range strings.SplitSeq(name, "/") {
		if strings.HasSuffix(s, ".") || strings.HasSuffix(s, " ") || slices.Contains(devices(), strings.ToLower(strings.SplitN(s, ".", 2)[0])) {
			return fmt.Errorf("%.80q cannot be stored on every system", name)
		}
	}
	return nil
}

func devices() []string { return []string{"con", "prn", "aux", "nul", "com1", "lpt1"} }

// checkLink keeps links relative and inside the component. Only the beginning of a target may go up: what comes after
// the name of another link leads somewhere else than it reads.
func checkLink(f File) error {
	l := f.Link
	if len(l) > maxName || path.Clean(l) != l || path.IsAbs(l) || strings.ContainsAny(l, "\\:\x00") {
		return fmt.Errorf("%.80q: a link must be relative", f.Path)
	}
	to := path.Join(path.Dir(f.Path), l)
	if to == ".." || strings.HasPrefix(to, "../") || !filepath.IsLocal(filepath.FromSlash(to)) {
		return fmt.Errorf("%.80q: its link leaves the component", f.Path)
	}
	return nil
}
