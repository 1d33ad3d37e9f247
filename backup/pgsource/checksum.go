package pgsource

import (
	"encoding/binary"

	"practicectl/backup/intake"
	"practicectl/backup/repo"
)

// Offsets in a page's header (storage/bufpage.h).
const (
	offChecksum = 8
	offLower    = 12
	offUpper    = 14
	offSpecial  = 16
	headerSize  = 24
)

// emptyPage tells whether a page holds nothing but its header and special space.
func emptyPage(page []byte) bool {
	le := binary.LittleEndian
	return le.Uint16(page[offLower:]) == headerSize && le.Uint16(page[offUpper:]) == le.Uint16(page[offSpecial:])
}

// spGistMeta tells whether a page is the first of an SP-GiST index (SPGIST_MAGIC_NUMBER and SPGIST_PAGE_ID in
// access/spgist_private.h).
func spGistMeta(page []byte) bool {
	return binary.LittleEndian.Uint32(page[headerSize:]) == 0xBA0BABEE && binary.LittleEndian.Uint16(page[len(page)-2:]) == 0xFF82
}

// checkPage compares the checksum of a page that is not all zeros. A page that was never initialised (pd_upper is 0) has
// none and must be all zeros, so anything else is damage.
func checkPage(page []byte, block uint32) intake.Verdict {
	if binary.LittleEndian.Uint16(page[offUpper:]) != 0 && binary.LittleEndian.Uint16(page[offChecksum:]) == Checksum(page, block) {
		return intake.Sound
	}
	return intake.Suspect
}

// The parameters of PostgreSQL's page checksum (storage/checksum_impl.h).
const (
	lanes = 32
	prime = 16777619
)

var basis = [lanes]uint32{
	0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
	0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
	0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
	0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
}

// Checksum is pg_checksum_page: 32 parallel FNV-1a sums over the page with its checksum field taken as zero, mixed with
// the block number. block counts from the start of the relation's fork.
func Checksum(page []byte, block uint32) uint16 {
	sums := basis
	for row := 0; row < repo.PageSize; row += 4 * lanes {
		line := (*[4 * lanes]byte)(page[row:])
		for i := range lanes {
			v := binary.LittleEndian.Uint32(line[4*i:])
			if row == 0 && i == offChecksum/4 {
				v &= 0xFFFF0000 // the checksum is the lower half of this word
			}
			t := sums[i] ^ v
			sums[i] = t*prime ^ t>>17
		}
	}
	for range 2 {
		for i, s := range sums {
			sums[i] = s*prime ^ s>>17
		}
	}
	sum := block
	for _, s := range sums {
		sum ^= s
	}
	return uint16(sum%65535 + 1)
}
