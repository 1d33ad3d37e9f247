package catalog

import "encoding/binary"

// A Bloom filter answers most questions for ids that are nowhere without a look at the disk: 12 bits for each id and 6 probes
// err once in 300. Ids are keyed hashes, so their own bits are the hash functions.
const (
	bloomBits   = 12
	bloomProbes = 6
)

func newBloom(count int) []byte { return make([]byte, max(8, count*bloomBits/8)) }

func bloomAdd(b []byte, k Key) {
	at, step := bloomStart(k)
	for range bloomProbes {
		bit := at % uint64(8*len(b))
		b[bit/8] |= 1 << (bit % 8)
		at += step
	}
}

func bloomHas(b []byte, k Key) bool {
	at, step := bloomStart(k)
	for range bloomProbes {
		bit := at % uint64(8*len(b))
		if b[bit/8]&(1<<(bit%8)) == 0 {
			return false
		}
		at += step
	}
	return true
}

func bloomStart(k Key) (at, step uint64) {
	return binary.LittleEndian.Uint64(k[:]), binary.LittleEndian.Uint64(k[8:]) | 1
}
