package writer

import (
	"encoding/binary"
	"sync"

	"practicectl/backup/repo"
)

// table finds the place of an id. It is split into shards so that lanes seldom wait for each other, and each shard is an
// open-addressing table of 4-byte slots over a dense list: about 40 bytes for each page of the repository.
type table struct {
	shards [32]shard
}

type shard struct {
	mu    sync.Mutex
	list  []known
	slots []uint32 // index into list plus 1; 0: free
	_     [64]byte // keeps shards on cache lines of their own
}

type known struct {
	id    repo.ID
	place Place
}

func newTable() *table { return &table{} }

// mix makes chunk ids and page ids live apart, although both are 16 bytes.
func mix(kind repo.FrameKind, id repo.ID) repo.ID {
	id[0] ^= byte(kind) << 7
	id[1] ^= byte(kind)
	return id
}

func (t *table) shard(id repo.ID) *shard { return &t.shards[id[15]&31] }

// insert enters an id unless it is there already.
func (t *table) insert(kind repo.FrameKind, id repo.ID, p Place) {
	id = mix(kind, id)
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.find(id); !ok {
		s.add(id, p)
	}
}

// find returns the place of id.
func (t *table) find(kind repo.FrameKind, id repo.ID) (Place, bool) {
	id = mix(kind, id)
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(id)
}

// findOrAdd returns the place of id; when there is none it enters the one that add returns. add is called under the lock
// of the shard, so that two lanes never store the same content.
func (t *table) findOrAdd(kind repo.FrameKind, id repo.ID, add func() Place) Place {
	id = mix(kind, id)
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.find(id); ok {
		return p
	}
	p := add()
	s.add(id, p)
	return p
}

func (s *shard) find(id repo.ID) (Place, bool) {
	if len(s.slots) == 0 {
		return Place{}, false
	}
	mask := uint32(len(s.slots) - 1)
	for i := hash(id) & mask; ; i = (i + 1) & mask {
		n := s.slots[i]
		if n == 0 {
			return Place{}, false
		}
		if k := &s.list[n-1]; k.id == id {
			return k.place, true
		}
	}
}

func (s *shard) add(id repo.ID, p Place) {
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

func (s *shard) link(id repo.ID, n uint32) {
	mask := uint32(len(s.slots) - 1)
	i := hash(id) & mask
	for s.slots[i] != 0 {
		i = (i + 1) & mask
	}
	s.slots[i] = n
}

// hash takes bits of the id: ids are keyed hashes themselves, so nobody outside can aim them at one slot.
func hash(id repo.ID) uint32 { return binary.LittleEndian.Uint32(id[4:]) }
