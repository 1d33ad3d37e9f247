package writer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	"practicectl/backup/catalog"
	"practicectl/backup/repo"
)

// maxRecent is the number of ids in memory above which they go to the disk: about 40 MiB.
const maxRecent = 1 << 20

// table finds the places of what this run stored. It is split into shards so that lanes seldom wait for each other, and each
// shard is an open-addressing table of 4-byte slots over a dense list. When it is full it is written down as a sorted file.
type table struct {
	shards [32]shard
	count  atomic.Int64
	limit  int64
	dir    string // for the files
	tagger func() *repo.Tagger
	spills []*catalog.Table // changed only while all shards are locked
}

type shard struct {
	mu    sync.Mutex
	list  []known
	slots []uint32 // index into list plus 1; 0: free
	_     [64]byte // keeps shards on cache lines of their own
}

type known struct {
	id    catalog.Key
	place Place
}

func newTable(dir string, tagger func() *repo.Tagger) *table {
	return &table{dir: dir, tagger: tagger, limit: maxRecent}
}

func (t *table) shard(key catalog.Key) *shard { return &t.shards[key[15]&31] }

// find returns the place of key.
func (t *table) find(key catalog.Key) (Place, bool) {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.look(s, key)
}

// look finds key in its shard, which is locked, and in the files.
func (t *table) look(s *shard, key catalog.Key) (Place, bool) {
	if p, ok := s.find(key); ok {
		return p, true
	}
	for _, f := range t.spills {
		if e, ok := f.Find(key); ok {
			return Place{frame: e.Frame, off: e.Offset, len: e.Length}, true
		}
	}
	return Place{}, false
}

// findOrAdd returns the place of key; when there is none it enters the one that add returns. add is called under the lock
// of the shard, so that two lanes never store the same content.
func (t *table) findOrAdd(key catalog.Key, add func() Place) Place {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := t.look(s, key); ok {
		return p
	}
	p := add()
	s.add(key, p)
	t.count.Add(1)
	return p
}

// spillWhenFull writes everything to a file when there is too much of it for memory.
func (t *table) spillWhenFull() error {
	if t.count.Load() < t.limit {
		return nil
	}
	for i := range t.shards {
		t.shards[i].mu.Lock()
		defer t.shards[i].mu.Unlock()
	}
	if t.count.Load() < t.limit {
		return nil // another lane was quicker
	}
	entries := make([]catalog.Entry, 0, t.count.Load())
	for i := range t.shards {
		for _, k := range t.shards[i].list {
			entries = append(entries, catalog.Entry{Key: k.id, Frame: k.place.frame, Offset: k.place.off, Length: k.place.len})
		}
	}
	path := filepath.Join(t.dir, fmt.Sprint(len(t.spills)))
	f, err := catalog.Build(path, t.tagger, entries)
	if err != nil {
		return repo.CacheError(path, err)
	}
	t.spills = append(t.spills, f)
	t.count.Store(0)
	for i := range t.shards {
		t.shards[i].list = t.shards[i].list[:0]
		clear(t.shards[i].slots)
	}
	return nil
}

func (t *table) close() error {
	var errs []error
	for _, f := range t.spills {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

func (s *shard) find(id catalog.Key) (Place, bool) {
	if len(s.slots) == 0 {
		return Place{}, false
	}
	mask := uint32(len(s.slots) - 1)
	for i := slotOf(id) & mask; ; i = (i + 1) & mask {
		n := s.slots[i]
		if n == 0 {
			return Place{}, false
		}
		if k := &s.list[n-1]; k.id == id {
			return k.place, true
		}
	}
}

func (s *shard) add(id catalog.Key, p Place) {
	s.list = append(s.list, known{id, p})
	if len(s.list)*4 > len(s.slots)*3 {
		s.slots = make([]uint32, max(64, 2*len(s.slots)))
		for i := range s.list {
			s.link(s.list[i].id, uint32(i+1))
		}
		return
	}
	s.link(id, uint32(len(s.list)))
}

func (s *shard) link(id catalog.Key, n uint32) {
	mask := uint32(len(s.slots) - 1)
	i := slotOf(id) & mask
	for s.slots[i] != 0 {
		i = (i + 1) & mask
	}
	s.slots[i] = n
}

// slotOf takes bits of the id: ids are keyed hashes themselves, so nobody outside can aim them at one slot.
func slotOf(id catalog.Key) uint32 { return binary.LittleEndian.Uint32(id[4:]) }
