// Package pagemap remembers, on the host, what the last snapshot holds of each page of the database: the page's id, its trace
// and where it is stored. A run compares pages with it by their position, in memory that does not grow with the database.
//
// A file belongs to one snapshot, whose id is its name, and is of use for the snapshot after that one only. Everything in it
// is proved by keyed tags. Losing it costs a full read, never data.
package pagemap

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"practicectl/backup/repo"
)

// SectionPages is the most pages in a section. A section has one page map in the repository.
const SectionPages = repo.MaxMapPages

// Facts are what a later run must find unchanged before it trusts the log's summaries.
type Facts struct {
	System    uint64    // identifier of the cluster
	Timeline  uint32    //
	Start     uint64    // position in the log from which replay of the snapshot begins
	Checksums uint32    // version of the page checksums; 0: off
	Limits    string    // version of the server that was seen to summarize the shortening of relations; empty: none
	FullRead  time.Time // when every page was read last
	Run       uint32    // counts snapshots
	Hole      bool      // its audit found pages that had changed without a trace in the log
}

// Frame is a frame of a pack.
type Frame struct {
	Pack uint32 // in the table of packs
	No   uint32
}

// Pack is a pack that the snapshot refers to.
type Pack struct {
	repo.StoredPack
	Content int64 // plaintext bytes of the pages and chunks in it; 0: not known
	Chunks  int64 // plaintext bytes of those chunks in it that the snapshot refers to
}

// Run is consecutive pages in one frame.
type Run struct {
	Frame uint32 // in the table of frames; ZeroFrame: all-zero pages
	Slot  uint16
	Count uint16
}

// ZeroFrame in a Run means all-zero pages, which are stored nowhere.
const ZeroFrame = ^uint32(0)

// Row is what is known of a page besides its place.
type Row struct {
	ID    repo.ID
	Trace repo.Trace
}

const (
	rowSize = 32
	runSize = 8
)

// Section is a stretch of a file.
type Section struct {
	Pages, Runs uint32
	Offset      int64    // in the page map's file
	Tag         repo.ID  // of what lies there
	Read        uint32   // number of the run that read all of it last
	Packs       []uint32 // that its pages and its stored page map lie in
	Stored      *Chunk   // its page map in the repository; nil: the runs stand in the file's entry
}

// Chunk is where a chunk lies.
type Chunk struct{ Frame, Offset, Length uint32 }

// File is a file of pages.
type File struct {
	Path     string
	Digest   repo.ID
	Sections []Section
}

// Pages is the length of the file.
func (f *File) Pages() (n int64) {
	for i := range f.Sections {
		n += int64(f.Sections[i].Pages)
	}
	return n
}

// content is the directory at the end of a page map's file.
type content struct {
	Facts   Facts
	Files   []File
	Frames  []Frame
	Packs   []Pack
	Retired []repo.PackID
}

// Map is the page map of a snapshot.
type Map struct {
	Facts   Facts
	Frames  []Frame
	Packs   []Pack
	Retired []repo.PackID // packs that were retired and may be stored still, whether the snapshot refers to them or not
	f       *os.File
	files   map[string]*File
	taggers sync.Pool
}

// ErrDamaged: what lies on the disk is not what was written there.
var ErrDamaged = errors.New("the page map is damaged")

const (
	magic      = "pctl-pm2"
	footSize   = 16
	maxContent = 1 << 30
)

// Path is the file of the page map of a snapshot.
func Path(dir, snapshot string) string { return filepath.Join(dir, "pages-"+snapshot) }

// Open opens the page map of a snapshot. The error tells why it cannot be used: os.ErrNotExist when there is none.
func Open(dir, snapshot string, tagger func() *repo.Tagger) (*Map, error) {
	f, err := os.Open(Path(dir, snapshot))
	if err != nil {
		return nil, err
	}
	m := &Map{f: f, files: map[string]*File{}, taggers: sync.Pool{New: func() any { return tagger() }}}
	if err := m.read(snapshot); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return m, nil
}

func (m *Map) read(snapshot string) error {
	info, err := m.f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < footSize {
		return ErrDamaged
	}
	var foot [footSize]byte
	if _, err := m.f.ReadAt(foot[:], info.Size()-footSize); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint64(foot[:])
	if string(foot[8:]) != magic || n < uint64(len(repo.ID{})) || n > maxContent || int64(n) > info.Size()-footSize {
		return ErrDamaged
	}
	raw := make([]byte, n)
	if _, err := m.f.ReadAt(raw, info.Size()-footSize-int64(n)); err != nil {
		return err
	}
	body, tag := raw[:len(raw)-len(repo.ID{})], raw[len(raw)-len(repo.ID{}):]
	if want := m.tag([]byte("snapshot "+snapshot), body); !bytes.Equal(want[:], tag) {
		return ErrDamaged
	}
	var c content
	if err := gob.NewDecoder(bytes.NewReader(body)).Decode(&c); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	m.Facts, m.Frames, m.Packs, m.Retired = c.Facts, c.Frames, c.Packs, c.Retired
	for i := range c.Files {
		m.files[c.Files[i].Path] = &c.Files[i]
	}
	return nil
}

func (m *Map) tag(parts ...[]byte) repo.ID {
	t := m.taggers.Get().(*repo.Tagger) //nolint:errcheck // the pool holds nothing else
	defer m.taggers.Put(t)
	return t.Tag(parts...)
}

// Close closes the file.
func (m *Map) Close() error { return m.f.Close() }

// File is what is known of a file; nil: nothing.
func (m *Map) File(path string) *File { return m.files[path] }

// Files are all files, in no order.
func (m *Map) Files() map[string]*File { return m.files }

// Rows reads a section. The slices are those of into, grown where they are short.
func (m *Map) Rows(s *Section, into *Rows) error {
	return into.read(m.f, s, m.tag)
}

// Due chooses sections to be audited: those that were not read for the longest time, until they make one in parts of all pages.
func (m *Map) Due(parts int) map[*Section]bool {
	type candidate struct {
		path string
		at   int
		s    *Section
	}
	var all []candidate
	pages := int64(0)
	for path, f := range m.files {
		for i := range f.Sections {
			all = append(all, candidate{path, i, &f.Sections[i]})
			pages += int64(f.Sections[i].Pages)
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.s.Read, b.s.Read), cmp.Compare(a.path, b.path), cmp.Compare(a.at, b.at))
	})
	out := map[*Section]bool{}
	chosen := int64(0)
	for _, c := range all {
		if chosen*int64(parts) >= pages {
			break
		}
		out[c.s] = true
		chosen += int64(c.s.Pages)
	}
	return out
}
