// Package catalog finds where content with an id lies, on disk and in bounded memory: 12 bits for each id.
//
// It is a local, sorted form of this host's index segments. Every block that is read is proved by a keyed tag, so that a
// disk that rots cannot make a snapshot refer to the wrong page. Losing the catalog costs a download of the segments.
package catalog

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"practicectl/backup/repo"
)

// Key is what content is found by.
type Key = repo.ID

// KeyOf keeps the ids of pages and of chunks apart, although both are 16 bytes.
func KeyOf(kind repo.FrameKind, id repo.ID) Key {
	id[0] ^= byte(kind) << 7
	id[1] ^= byte(kind)
	return id
}

// Entry is where content lies.
type Entry struct {
	Key            Key
	Pack           uint32 // as [Catalog.Bind] numbered it
	Frame          uint32
	Offset, Length uint32 // bytes in the frame's plaintext
}

// Catalog is the catalog of one host. Find is safe for concurrent use, the rest is not.
type Catalog struct {
	dir    string
	tagger func() *repo.Tagger
	tables []*Table
	bound  bool // the numbers of packs hold
}

const suffix = ".ids"

// Open opens the catalog in a folder. A file that is damaged, or of another repository, is removed.
func Open(dir string, tagger func() *repo.Tagger) (*Catalog, error) {
	c := &Catalog{dir: dir, tagger: tagger}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		t, err := openTable(path, tagger)
		if err != nil {
			if err := os.Remove(path); err != nil {
				return nil, err
			}
			continue
		}
		c.tables = append(c.tables, t)
	}
	return c, nil
}

// Close closes the files.
func (c *Catalog) Close() error {
	var errs []error
	for _, t := range c.tables {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}

// Covers tells whether the content of an index segment is in the catalog.
func (c *Catalog) Covers(segment string) bool {
	return slices.ContainsFunc(c.tables, func(t *Table) bool { return slices.Contains(t.head.Segments, segment) })
}

// Bind asks for the number of each pack; one that has none is not stored any more, and nothing in it is found. Nothing at all
// is found before Bind, nor after Add. number is told the plaintext bytes in the pack, too.
func (c *Catalog) Bind(number func(p repo.StoredPack, content int64) (uint32, bool)) {
	c.bound = true
	for _, t := range c.tables {
		t.numbers = make([]uint32, len(t.head.Packs))
		for i, p := range t.head.Packs {
			n, ok := number(repo.StoredPack{ID: p.ID, Size: p.Size}, p.Content)
			if !ok {
				n = Nowhere
			}
			t.numbers[i] = n
		}
	}
}

// Find looks key up. What cannot be read is not found: it is stored again.
func (c *Catalog) Find(key Key) (Entry, bool) {
	if !c.bound {
		return Entry{}, false
	}
	for _, t := range c.tables {
		e, ok := t.Find(key)
		if !ok {
			continue
		}
		if e.Pack = t.numbers[e.Pack]; e.Pack != Nowhere {
			return e, true
		}
	}
	return Entry{}, false
}

// Add enters the content of an index segment.
func (c *Catalog) Add(segment string, packs []repo.PackIndex) error {
	c.bound = false
	var entries []Entry
	h := head{Segments: []string{segment}}
	for i, p := range packs {
		content := int64(0)
		for no, f := range p.Frames {
			off := uint32(0)
			for k, id := range f.IDs {
				n := uint32(repo.PageSize)
				if f.Kind == repo.ChunkFrame {
					n = f.Lens[k]
				}
				entries = append(entries, Entry{KeyOf(f.Kind, id), uint32(i), uint32(no), off, n})
				off += n
			}
			content += int64(off)
		}
		h.Packs = append(h.Packs, pack{p.Pack.ID, p.Pack.Size, content})
	}
	slices.SortStableFunc(entries, func(a, b Entry) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	at := 0
	t, err := build(c.path(segment), c.tagger, h, len(entries), func() (Entry, bool, error) {
		if at == len(entries) {
			return Entry{}, false, nil
		}
		at++
		return entries[at-1], true, nil
	})
	if err != nil {
		return err
	}
	t.numbers = make([]uint32, len(h.Packs))
	for i := range t.numbers {
		t.numbers[i] = uint32(i)
	}
	c.tables = append(c.tables, t)
	return nil
}

func (c *Catalog) path(segment string) string {
	return filepath.Join(c.dir, filepath.Base(segment)+suffix)
}

// maxTables is the number of files above which the small ones are merged.
const maxTables = 8

// Tidy merges small files when there are many, and drops what is stored no more. Large files are left alone until the small
// ones amount to a quarter of them, so that over time each entry is copied a few times only. Small files of which one is
// damaged are removed: the next run fetches their segments again.
func (c *Catalog) Tidy() error {
	if len(c.tables) <= maxTables {
		return nil
	}
	slices.SortFunc(c.tables, func(a, b *Table) int { return cmp.Compare(a.head.Count, b.head.Count) })
	n, sum := 0, 0
	for n < len(c.tables) && (n < 2 || c.tables[n].head.Count <= 4*sum) {
		sum += c.tables[n].head.Count
		n++
	}
	old := c.tables[:n]
	c.tables = slices.Clone(c.tables[n:])
	merged, err := merge(filepath.Join(c.dir, rand.Text()+suffix), c.tagger, old)
	switch {
	case err == nil:
		c.tables = append(c.tables, merged)
	case !errors.Is(err, errDamaged):
		return err
	}
	for _, t := range old {
		if err := errors.Join(t.Close(), os.Remove(t.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
