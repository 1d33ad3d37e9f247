package pgcluster

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// LSN is a byte position in the write-ahead log.
type LSN uint64

// String writes the position as PostgreSQL does: "0/3000060".
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// MarshalText writes the position as PostgreSQL does.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText is ParseLSN.
func (l *LSN) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLSN(string(text))
	return err
}

// ParseLSN reads "0/3000060".
func ParseLSN(s string) (LSN, error) {
	high, low, ok := strings.Cut(s, "/")
	if !ok || high == "" || low == "" || strings.ContainsAny(s, "+-_") {
		return 0, fmt.Errorf("position %q: want two hexadecimal numbers such as 0/3000060", s)
	}
	h, errH := strconv.ParseUint(high, 16, 32)
	l, errL := strconv.ParseUint(low, 16, 32)
	if err := errors.Join(errH, errL); err != nil {
		return 0, fmt.Errorf("position %q: want two hexadecimal numbers such as 0/3000060", s)
	}
	return LSN(h<<32 | l), nil
}

// WALName is the name of the segment file that holds position at (XLogFileName in access/xlog_internal.h).
// segmentSize is in bytes.
func WALName(timeline uint32, at LSN, segmentSize uint32) string {
	perID := uint64(1<<32) / uint64(segmentSize)
	n := uint64(at) / uint64(segmentSize)
	return fmt.Sprintf("%08X%08X%08X", timeline, n/perID, n%perID)
}

// ParseWALName is the inverse of WALName; the position is the first byte of the segment.
func ParseWALName(name string, segmentSize uint32) (timeline uint32, start LSN, err error) {
	bad := fmt.Errorf("%q is not the name of a WAL segment", name)
	if len(name) != 24 || segmentSize == 0 || strings.ToUpper(name) != name || strings.ContainsAny(name, "+-_") {
		return 0, 0, bad
	}
	var part [3]uint64
	for i := range part {
		if part[i], err = strconv.ParseUint(name[8*i:8*i+8], 16, 32); err != nil {
			return 0, 0, bad
		}
	}
	perID := uint64(1<<32) / uint64(segmentSize)
	if part[2] >= perID {
		return 0, 0, bad
	}
	return uint32(part[0]), LSN((part[1]*perID + part[2]) * uint64(segmentSize)), nil
}

// HistoryEntry is one line of a timeline history file: the timeline was left at End.
type HistoryEntry struct {
	Timeline uint32
	End      LSN
	Reason   string
}

// ParseHistory reads a timeline history file (src/backend/access/transam/timeline.c), oldest timeline first.
func ParseHistory(text string) ([]HistoryEntry, error) {
	var all []HistoryEntry
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 2 {
			return nil, fmt.Errorf("timeline history: line %q has no position", line)
		}
		tli, err := strconv.ParseUint(f[0], 10, 32)
		if err != nil || tli == 0 {
			return nil, fmt.Errorf("timeline history: %q is not a timeline", f[0])
		}
		end, err := ParseLSN(f[1])
		if err != nil {
			return nil, fmt.Errorf("timeline history: %w", err)
		}
		if n := len(all); n > 0 && (uint64(all[n-1].Timeline) >= tli || all[n-1].End > end) {
			return nil, fmt.Errorf("timeline history: timeline %d does not follow %d", tli, all[n-1].Timeline)
		}
		all = append(all, HistoryEntry{Timeline: uint32(tli), End: end, Reason: strings.Join(f[2:], " ")})
	}
	return all, nil
}
