package wal

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"practicectl/internal/pgcluster"
)

// Sizes and flags of access/xlog_internal.h and access/xlogrecord.h; they are the same in PostgreSQL 15 to 18.
const (
	walPage        = 8192
	shortHeader    = 24
	longHeader     = 40
	longFlag       = 0x0002 // XLP_LONG_HEADER
	continuedFlag  = 0x0001 // XLP_FIRST_IS_CONTRECORD
	recordHeader   = 24
	recordCRC      = 20   // offset of the checksum in a record's header
	rmXLOG         = 0    // RM_XLOG_ID
	rmXact         = 1    // RM_XACT_ID
	xlogRestore    = 0x70 // XLOG_RESTORE_POINT
	xlogSwitch     = 0x40 // XLOG_SWITCH
	dataShort      = 255  // XLR_BLOCK_ID_DATA_SHORT
	dataLong       = 254  // XLR_BLOCK_ID_DATA_LONG
	dataOrigin     = 253  // XLR_BLOCK_ID_ORIGIN
	dataTopXID     = 252  // XLR_BLOCK_ID_TOPLEVEL_XID
	restoreNameLen = 64   // MAXFNAMELEN
)

// Record is one record of the log.
type Record struct {
	Start, End pgcluster.LSN // its first byte, and where the next one may begin
	body       []byte        // header and all that follows, without the pages' headers
}

// Records yields the records that are complete in data, whose first byte is the first of a page at position at; one that began
// before is left out. The log is foreign: it ends at the first record whose checksum is wrong. Records reports whether it
// stopped only because data ends.
func Records(at pgcluster.LSN, data []byte, yield func(Record) bool) (more bool) {
	p := joinPages(at, data)
	crc := crc32.MakeTable(crc32.Castagnoli)
	for i := p.first; i+recordHeader <= len(p.payload); {
		n := int(binary.LittleEndian.Uint32(p.payload[i:]))
		if n < recordHeader {
			return false
		}
		if n > len(p.payload)-i {
			return true
		}
		r := Record{Start: p.at(i), body: p.payload[i : i+n]}
		sum := crc32.Update(crc32.Checksum(r.body[recordHeader:], crc), crc, r.body[:recordCRC])
		if sum != binary.LittleEndian.Uint32(r.body[recordCRC:]) {
			return false
		}
		i = (i + n + 7) &^ 7
		r.End = p.at(i)
		if !yield(r) || r.is(rmXLOG, xlogSwitch) { // the rest of the segment is empty
			return false
		}
	}
	return true
}

// pages is log without the headers of its pages.
type pages struct {
	start   pgcluster.LSN
	payload []byte
	begins  []int // in payload, of each page
	headers []int // bytes
	first   int   // in payload: where the first record begins
}

func joinPages(at pgcluster.LSN, data []byte) pages {
	p := pages{start: at, payload: make([]byte, 0, len(data))}
	for n := 0; n < len(data); n += walPage {
		page := data[n:min(n+walPage, len(data))]
		if len(page) < longHeader || binary.LittleEndian.Uint64(page[8:]) != uint64(at)+uint64(n) { // xlp_pageaddr
			break
		}
		header := shortHeader
		if binary.LittleEndian.Uint16(page[2:])&longFlag != 0 {
			header = longHeader
		}
		if n == 0 && binary.LittleEndian.Uint16(page[2:])&continuedFlag != 0 {
			p.first = int(binary.LittleEndian.Uint32(page[16:])+7) &^ 7 // xlp_rem_len
		}
		p.begins, p.headers = append(p.begins, len(p.payload)), append(p.headers, header)
		p.payload = append(p.payload, page[header:]...)
	}
	return p
}

// at is the position of a byte of the payload.
func (p pages) at(i int) pgcluster.LSN {
	n := len(p.begins) - 1
	for n > 0 && p.begins[n] > i {
		n--
	}
	off := i - p.begins[n]
	if i == len(p.payload) && off+p.headers[n] >= walPage {
		return p.start + pgcluster.LSN((n+1)*walPage)
	}
	return p.start + pgcluster.LSN(n*walPage+p.headers[n]+off)
}

func (r Record) is(manager, info byte) bool { return r.body[17] == manager && r.body[16]&0xF0 == info }

// data is the main data of a record that refers to no page.
func (r Record) data() []byte {
	for b := r.body[recordHeader:]; len(b) >= 2; {
		switch b[0] {
		case dataOrigin:
			b = b[min(3, len(b)):]
		case dataTopXID:
			b = b[min(5, len(b)):]
		case dataShort:
			return b[2:]
		case dataLong:
			return b[min(5, len(b)):]
		default:
			return nil
		}
	}
	return nil
}

// epoch2000 is the beginning of PostgreSQL's time.
var epoch2000 = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Ended is when a transaction was committed or rolled back with the record; false: it is no such record.
func (r Record) Ended() (time.Time, bool) {
	if r.body[17] != rmXact {
		return time.Time{}, false
	}
	switch r.body[16] & 0x70 {
	case 0x00, 0x20, 0x30, 0x40: // XLOG_XACT_COMMIT, _ABORT, _COMMIT_PREPARED, _ABORT_PREPARED
	default:
		return time.Time{}, false
	}
	d := r.data()
	if len(d) < 8 {
		return time.Time{}, false
	}
	micro := int64(binary.LittleEndian.Uint64(d))
	return epoch2000.Add(time.Duration(micro/1e6) * time.Second).Add(time.Duration(micro%1e6) * time.Microsecond), true
}

// RestorePoint is the name that somebody gave to the record's position; false: it is no such record.
func (r Record) RestorePoint() (string, bool) {
	d := r.data()
	if !r.is(rmXLOG, xlogRestore) || len(d) < 8+restoreNameLen {
		return "", false
	}
	name := d[8 : 8+restoreNameLen]
	for i, c := range name {
		if c == 0 {
			return string(name[:i]), true
		}
	}
	return "", false
}
