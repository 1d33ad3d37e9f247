package stream

import (
	"time"

	"practicectl/backup/wal"
	"practicectl/internal/pgcluster"
)

// position is a place in the log of the cluster.
type position struct {
	timeline uint32
	at       pgcluster.LSN
}

// unit is a unit of the log that comes in. It is received from its first byte on, also when pieces of it are stored already:
// so they can be compared, and the unit can be stored in one piece in the end.
type unit struct {
	wal.Stretch
	data   []byte        // from Start on
	cut    pgcluster.LSN // everything before was handed over, or was stored before
	first  time.Time     // when the oldest byte behind cut came in
	looked time.Time     // when the store was last asked what else is there
	others []wal.Found   // stored, and to be compared once their bytes have come in
}

func newUnit(system uint64, at position, size uint32, stored position) *unit {
	start := at.at - at.at%pgcluster.LSN(size)
	u := &unit{Stretch: wal.Stretch{System: system, Timeline: at.timeline, Start: start, End: start + pgcluster.LSN(size)}, cut: start}
	if stored.timeline == at.timeline && stored.at > start {
		u.cut = min(stored.at, u.End)
	}
	return u
}

// filled is the position behind the last byte that came in.
func (u *unit) filled() pgcluster.LSN { return u.Start + pgcluster.LSN(len(u.data)) }

// uncut is the number of bytes that came in and were not handed over.
func (u *unit) uncut() int64 { return max(0, int64(u.filled())-int64(u.cut)) }

func (u *unit) full() bool { return u.filled() == u.End }

// bytes are those from a position to another one.
func (u *unit) bytes(from, to pgcluster.LSN) []byte { return u.data[from-u.Start : to-u.Start] }

// add takes what comes in behind filled.
func (u *unit) add(data []byte, now time.Time) {
	if u.data == nil {
		u.data = make([]byte, 0, min(int64(u.End-u.Start), 1<<20))
	}
	u.data = append(u.data, data...)
	if u.first.IsZero() && u.uncut() > 0 {
		u.first = now
	}
}

// slice hands over everything that came in.
func (u *unit) slice(now time.Time) *parcel {
	s := u.Stretch
	s.Start, s.End = u.cut, u.filled()
	p := &parcel{stretch: &s, plain: u.bytes(s.Start, s.End), since: u.first, unit: u}
	u.cut, u.first = s.End, time.Time{}
	return p
}
