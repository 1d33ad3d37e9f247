package intake

import "practicectl/backup/repo"

// Track says which pages of a file may have changed since the snapshot before.
type Track struct {
	First uint32   // number of the file's first block
	Limit int64    // pages from here on are read in any case
	Bits  []uint64 // a bit for each page; those that are not there are not set

	// Explained tells of a page that is not what it was, although nothing says that it changed, whether that is as it
	// should be: it changed after the backup had begun, or in a way that is never logged. stale: what is stored is as good.
	Explained func(before repo.Trace, zero bool, page []byte, block uint32) (explained, stale bool)
}

// Set notes that a page may have changed.
func (t *Track) Set(page int64) {
	for int64(len(t.Bits)) <= page/64 {
		t.Bits = append(t.Bits, 0)
	}
	t.Bits[page/64] |= 1 << (page % 64)
}

// Has tells whether a page may have changed.
func (t *Track) Has(page int64) bool {
	return page >= t.Limit || page/64 < int64(len(t.Bits)) && t.Bits[page/64]&(1<<(page%64)) != 0
}

// Any tells whether one of n pages may have changed.
func (t *Track) Any(first, n int64) bool {
	for p := first; p < first+n; p++ {
		if p%64 == 0 && p+64 <= min(first+n, t.Limit) && (p/64 >= int64(len(t.Bits)) || t.Bits[p/64] == 0) {
			p += 63
			continue
		}
		if t.Has(p) {
			return true
		}
	}
	return false
}
