package catalog

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"io"
	"slices"

	"practicectl/backup/repo"
	"practicectl/internal/atomicfile"
)

// source yields entries in the order of their keys; of several with one key the first counts.
type source func() (Entry, bool, error)

// build writes a table of at most count entries and opens it.
func build(path string, tagger func() *repo.Tagger, h head, count int, next source) (*Table, error) {
	h.Bloom = newBloom(count)
	err := atomicfile.Write(path, 0o600, func(w io.Writer) error {
		out := bufio.NewWriterSize(w, 1<<20)
		if err := writeBlocks(out, tagger(), &h, next); err != nil {
			return err
		}
		var body bytes.Buffer
		if err := gob.NewEncoder(&body).Encode(h); err != nil {
			return err
		}
		tag := tagger().Tag([]byte("head"), body.Bytes())
		body.Write(tag[:])
		n := body.Len()
		for _, part := range [][]byte{body.Bytes(), binary.LittleEndian.AppendUint64(nil, uint64(n)), []byte(magic)} {
			if _, err := out.Write(part); err != nil {
				return err
			}
		}
		return out.Flush()
	})
	if err != nil {
		return nil, err
	}
	return openTable(path, tagger)
}

func writeBlocks(out io.Writer, tagger *repo.Tagger, h *head, next source) error {
	var block [blockSize]byte
	flush := func() error {
		no := (h.Count - 1) / blockEntries
		tag := blockTag(tagger, no, &block)
		copy(block[tagAt:], tag[:])
		_, err := out.Write(block[:])
		clear(block[:])
		return err
	}
	var last Key
	for {
		e, ok, err := next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if h.Count > 0 && e.Key == last {
			continue
		}
		last = e.Key
		at := h.Count % blockEntries
		if at == 0 {
			h.Fences = append(h.Fences, e.Key[:8]...)
		}
		encodeEntry(block[at*entrySize:], e)
		bloomAdd(h.Bloom, e.Key)
		if h.Count++; h.Count%blockEntries == 0 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if h.Count%blockEntries == 0 {
		return nil
	}
	return flush()
}

// Build writes the entries, which it sorts, as a table of its own that knows nothing of segments and packs.
func Build(path string, tagger func() *repo.Tagger, entries []Entry) (*Table, error) {
	slices.SortFunc(entries, func(a, b Entry) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	at := 0
	return build(path, tagger, head{}, len(entries), func() (Entry, bool, error) {
		if at == len(entries) {
			return Entry{}, false, nil
		}
		at++
		return entries[at-1], true, nil
	})
}

// merge makes one table of several. Entries in packs that have no number are left out.
func merge(path string, tagger func() *repo.Tagger, tables []*Table) (*Table, error) {
	var h head
	count := 0
	numbers := map[repo.PackID]uint32{}
	var cursors []*cursor
	for _, t := range tables {
		count += t.head.Count
		h.Segments = append(h.Segments, t.head.Segments...)
		c := &cursor{t: t, to: make([]uint32, len(t.head.Packs))}
		for i, p := range t.head.Packs {
			n, ok := numbers[p.ID]
			switch {
			case t.numbers[i] == Nowhere:
				n = Nowhere
			case !ok:
				n = uint32(len(h.Packs))
				numbers[p.ID] = n
				h.Packs = append(h.Packs, p)
			}
			c.to[i] = n
		}
		cursors = append(cursors, c)
	}
	merged, err := build(path, tagger, h, count, func() (Entry, bool, error) { return smallest(cursors) })
	if err != nil {
		return nil, err
	}
	merged.numbers = make([]uint32, len(h.Packs))
	for i := range merged.numbers {
		merged.numbers[i] = uint32(i)
	}
	return merged, nil
}

// cursor walks through a table.
type cursor struct {
	t     *Table
	to    []uint32 // the new numbers of its packs
	no    int      // entries taken
	block [blockSize]byte
	head  Entry
	full  bool // head holds the next entry
}

// peek fills head; false at the end.
func (c *cursor) peek() (bool, error) {
	for !c.full {
		if c.no == c.t.head.Count {
			return false, nil
		}
		at := c.no % blockEntries
		if at == 0 {
			if err := c.t.readBlock(c.no/blockEntries, &c.block); err != nil {
				return false, err
			}
		}
		c.head = decodeEntry(c.block[at*entrySize:])
		c.no++
		c.head.Pack = c.to[c.head.Pack]
		c.full = c.head.Pack != Nowhere
	}
	return true, nil
}

func smallest(cursors []*cursor) (Entry, bool, error) {
	var best *cursor
	for _, c := range cursors {
		ok, err := c.peek()
		if err != nil {
			return Entry{}, false, err
		}
		if ok && (best == nil || bytes.Compare(c.head.Key[:], best.head.Key[:]) < 0) {
			best = c
		}
	}
	if best == nil {
		return Entry{}, false, nil
	}
	best.full = false
	return best.head, true, nil
}
