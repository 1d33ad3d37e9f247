package catalog

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"sort"
	"sync"

	"practicectl/backup/repo"
)

// A table is a file: blocks of sorted entries, each with a tag; the head, with a tag; the head's length; a magic number.
const (
	blockSize    = 4096
	entrySize    = 32
	blockEntries = 127 // and 16 bytes are left for the tag
	tagAt        = blockSize - len(repo.ID{})
	footSize     = 16
	magic        = "pctl-id2"
	maxHead      = 1 << 30
)

// Nowhere is the number of a pack that is not stored.
const Nowhere = ^uint32(0)

// pack is a pack that entries of a table lie in.
type pack struct {
	ID      repo.PackID
	Size    int64
	Content int64 // plaintext bytes of all pages and chunks in it
}

// head is what is kept of a table in memory.
type head struct {
	Count    int
	Packs    []pack
	Segments []string // index segments that it was made of
	Fences   []byte   // the first 8 bytes of the first key of each block
	Bloom    []byte
}

// Table is one sorted file. Find is safe for concurrent use.
type Table struct {
	path    string
	f       *os.File
	head    head
	numbers []uint32 // of the packs, as the owner numbered them
	taggers sync.Pool
}

var errDamaged = errors.New("the file is damaged")

func openTable(path string, tagger func() *repo.Tagger) (*Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	t := &Table{path: path, f: f, taggers: sync.Pool{New: func() any { return tagger() }}}
	if err := t.readHead(tagger()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return t, nil
}

func (t *Table) readHead(tagger *repo.Tagger) error {
	info, err := t.f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < footSize {
		return errDamaged
	}
	var foot [footSize]byte
	if _, err := t.f.ReadAt(foot[:], info.Size()-footSize); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint64(foot[:])
	if string(foot[8:]) != magic || n < uint64(len(repo.ID{})) || n > maxHead || int64(n) > info.Size()-footSize {
		return errDamaged
	}
	raw := make([]byte, n)
	if _, err := t.f.ReadAt(raw, info.Size()-footSize-int64(n)); err != nil {
		return err
	}
	body, tag := raw[:len(raw)-len(repo.ID{})], raw[len(raw)-len(repo.ID{}):]
	if want := tagger.Tag([]byte("head"), body); !bytes.Equal(want[:], tag) {
		return errDamaged
	}
	return gob.NewDecoder(bytes.NewReader(body)).Decode(&t.head)
}

// Close closes the file.
func (t *Table) Close() error { return t.f.Close() }

// Find looks key up. The pack is its number within the table.
func (t *Table) Find(key Key) (Entry, bool) {
	if !bloomHas(t.head.Bloom, key) {
		return Entry{}, false
	}
	first := binary.BigEndian.Uint64(key[:8])
	blocks := len(t.head.Fences) / 8
	// Several keys may share their first 8 bytes: begin in the last block that begins below.
	no := sort.Search(blocks, func(i int) bool { return binary.BigEndian.Uint64(t.head.Fences[8*i:]) >= first })
	for no = max(0, no-1); no < blocks && (binary.BigEndian.Uint64(t.head.Fences[8*no:]) <= first); no++ {
		var block [blockSize]byte
		if err := t.readBlock(no, &block); err != nil {
			return Entry{}, false
		}
		n := t.inBlock(no)
		i := sort.Search(n, func(i int) bool { return bytes.Compare(block[i*entrySize:i*entrySize+16], key[:]) >= 0 })
		if i < n && bytes.Equal(block[i*entrySize:i*entrySize+16], key[:]) {
			return decodeEntry(block[i*entrySize:]), true
		}
	}
	return Entry{}, false
}

func (t *Table) inBlock(no int) int { return min(blockEntries, t.head.Count-no*blockEntries) }

func (t *Table) readBlock(no int, block *[blockSize]byte) error {
	if _, err := t.f.ReadAt(block[:], int64(no)*blockSize); err != nil {
		return err
	}
	tagger := t.taggers.Get().(*repo.Tagger) //nolint:errcheck // the pool holds nothing else
	defer t.taggers.Put(tagger)
	if tag := blockTag(tagger, no, block); !bytes.Equal(tag[:], block[tagAt:]) {
		return fmt.Errorf("%s: %w", t.path, errDamaged)
	}
	return nil
}

func blockTag(tagger *repo.Tagger, no int, block *[blockSize]byte) repo.ID {
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], uint64(no))
	return tagger.Tag(number[:], block[:tagAt])
}

func decodeEntry(b []byte) Entry {
	le := binary.LittleEndian
	return Entry{Key(b[:16]), le.Uint32(b[16:]), le.Uint32(b[20:]), le.Uint32(b[24:]), le.Uint32(b[28:])}
}

func encodeEntry(b []byte, e Entry) {
	le := binary.LittleEndian
	copy(b, e.Key[:])
	le.PutUint32(b[16:], e.Pack)
	le.PutUint32(b[20:], e.Frame)
	le.PutUint32(b[24:], e.Offset)
	le.PutUint32(b[28:], e.Length)
}
