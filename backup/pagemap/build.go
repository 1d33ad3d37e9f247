package pagemap

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"practicectl/backup/repo"
	"practicectl/internal/atomicfile"
)

// nowhere is the number of the pack of a frame that nothing refers to. Frames keep their numbers as long as there is a page map.
const nowhere = ^uint32(0)

// Builder makes the page map of the snapshot being taken. Sections come in any order, from several goroutines.
type Builder struct {
	dir      string
	snapshot string
	f        *os.File
	taggers  sync.Pool

	mu   sync.Mutex
	size int64
}

// Create begins the page map of a snapshot.
func Create(dir, snapshot string, tagger func() *repo.Tagger) (*Builder, error) {
	f, err := os.CreateTemp(dir, "pages-*.new")
	if err != nil {
		return nil, err
	}
	return &Builder{dir: dir, snapshot: snapshot, f: f, taggers: sync.Pool{New: func() any { return tagger() }}}, nil
}

func (b *Builder) tag(parts ...[]byte) repo.ID {
	t := b.taggers.Get().(*repo.Tagger) //nolint:errcheck // the pool holds nothing else
	defer b.taggers.Put(t)
	return t.Tag(parts...)
}

// Add writes a section down.
func (b *Builder) Add(r *Rows) (Section, error) {
	raw := r.encode()
	s := Section{Pages: uint32(r.Len()), Runs: uint32(len(r.Runs)), Tag: b.tag(raw)}
	var err error
	s.Offset, err = b.write(raw)
	return s, err
}

// Copy takes over a section as it is.
func (b *Builder) Copy(m *Map, s Section) (Section, error) {
	raw := make([]byte, int(s.Pages)*rowSize+int(s.Runs)*runSize)
	if _, err := m.f.ReadAt(raw, s.Offset); err != nil {
		return s, err
	}
	if b.tag(raw) != s.Tag {
		return s, ErrDamaged
	}
	var err error
	s.Offset, err = b.write(raw)
	return s, err
}

func (b *Builder) write(raw []byte) (int64, error) {
	b.mu.Lock()
	at := b.size
	b.size += int64(len(raw))
	b.mu.Unlock()
	if _, err := b.f.WriteAt(raw, at); err != nil {
		return 0, repo.CacheError(b.f.Name(), err)
	}
	return at, nil
}

// Rows reads a section that was written before.
func (b *Builder) Rows(s *Section, into *Rows) error { return into.read(b.f, s, b.tag) }

// Finish writes the directory and puts the file in place. packs may hold more than the snapshot refers to; only those are kept
// that sections refer to or that chunks in use lie in.
func (b *Builder) Finish(facts Facts, files []File, frames []Frame, packs []Pack, retired []repo.PackID) error {
	c := content{Facts: facts, Files: files, Frames: make([]Frame, len(frames)), Retired: retired}
	number := make([]uint32, len(packs)) // new number plus one
	keep := func(p uint32) {
		if number[p] == 0 {
			c.Packs = append(c.Packs, packs[p])
			number[p] = uint32(len(c.Packs))
		}
	}
	for i := range files {
		for k := range files[i].Sections {
			s := &files[i].Sections[k]
			kept := make([]uint32, len(s.Packs))
			for j, p := range s.Packs {
				keep(p)
				kept[j] = number[p] - 1
			}
			s.Packs = kept
		}
	}
	for p := range packs {
		if packs[p].Chunks > 0 {
			keep(uint32(p))
		}
	}
	for i, f := range frames {
		if f.Pack != nowhere {
			f.Pack = number[f.Pack] - 1 // nowhere, when nothing refers to its pack any more
		}
		c.Frames[i] = f
	}
	var body bytes.Buffer
	if err := gob.NewEncoder(&body).Encode(c); err != nil {
		return err
	}
	tag := b.tag([]byte("snapshot "+b.snapshot), body.Bytes())
	body.Write(tag[:])
	n := body.Len()
	body.Write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	body.WriteString(magic)
	_, err := io.Copy(io.NewOffsetWriter(b.f, b.size), &body)
	if err == nil {
		err = b.f.Sync()
	}
	if err = errors.Join(err, b.f.Close()); err != nil {
		return err
	}
	return atomicfile.Rename(b.f.Name(), Path(b.dir, b.snapshot))
}

// Abandon throws away what was written. After Finish it does nothing.
func (b *Builder) Abandon() {
	if b.f.Close() == nil {
		_ = os.Remove(b.f.Name()) // the next run removes what is left
	}
}

// Sweep removes the page maps of all snapshots but one.
func Sweep(dir, snapshot string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !strings.HasPrefix(e.Name(), "pages-") || path == Path(dir, snapshot) {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
