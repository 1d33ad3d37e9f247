package wal

import (
	"fmt"
	"regexp"
	"strconv"

	"practicectl/backup/repo"
	"practicectl/internal/pgcluster"
)

// Unit is the most bytes of log in one object: a segment of the usual size. Units begin at multiples of it, or of the size of
// a segment where that is smaller.
const Unit = 16 << 20

// UnitOf is the number of bytes of a unit where segments have segmentSize bytes.
func UnitOf(segmentSize uint32) uint32 { return min(segmentSize, Unit) }

// Stretch is where a run of bytes lies in the log of a cluster.
type Stretch struct {
	System     uint64
	Timeline   uint32
	Start, End pgcluster.LSN
}

// Key is the name of the object that holds the stretch.
func (s Stretch) Key(m Mark) string { return s.prefix() + m.String() }

func (s Stretch) prefix() string {
	return fmt.Sprintf("%s%016X-%016X-", timelinePrefix(s.System, s.Timeline), uint64(s.Start), uint64(s.End))
}

// Branch is where a timeline left the one before it.
type Branch struct {
	System   uint64
	Timeline uint32
	Parent   uint32
	At       pgcluster.LSN
}

// Key is the name of the object that holds the timeline's history file.
func (b Branch) Key(m Mark) string { return b.prefix() + m.String() }

func (b Branch) prefix() string {
	return fmt.Sprintf("%s%s%08X-%016X-", timelinePrefix(b.System, b.Timeline), HistoryName, b.Parent, uint64(b.At))
}

func systemPrefix(system uint64) string { return fmt.Sprintf("%s%d/", repo.WALPrefix, system) }

func timelinePrefix(system uint64, timeline uint32) string {
	return fmt.Sprintf("%s%08X/", systemPrefix(system), timeline)
}

// around is the longest prefix that the names of all objects within a unit share. Positions have 16 digits.
func (s Stretch) around() string {
	digits := fmt.Sprintf("%016X", uint64(s.Start))
	last := fmt.Sprintf("%016X", uint64(s.End-1))
	n := 0
	for n < len(digits) && digits[n] == last[n] {
		n++
	}
	return timelinePrefix(s.System, s.Timeline) + digits[:n]
}

var (
	stretchForm = regexp.MustCompile(`^w/([0-9]{1,20})/([0-9A-F]{8})/([0-9A-F]{16})-([0-9A-F]{16})-(.+)$`)
	branchForm  = regexp.MustCompile(`^w/([0-9]{1,20})/([0-9A-F]{8})/` + HistoryName + `([0-9A-F]{8})-([0-9A-F]{16})-(.+)$`)
)

// ParseKey takes the name of a stored stretch apart; false: it is none.
func ParseKey(key string) (s Stretch, mark Mark, ok bool) {
	m := stretchForm.FindStringSubmatch(key)
	if m == nil {
		return s, mark, false
	}
	var start, end uint64
	if s.System, s.Timeline, start, end, ok = parts(m); !ok || start >= end || end-start > Unit {
		return Stretch{}, mark, false
	}
	s.Start, s.End = pgcluster.LSN(start), pgcluster.LSN(end)
	mark, ok = parseMark(m[5])
	return s, mark, ok
}

// ParseBranchKey takes the name of a stored history file apart; false: it is none.
func ParseBranchKey(key string) (b Branch, mark Mark, ok bool) {
	m := branchForm.FindStringSubmatch(key)
	if m == nil {
		return b, mark, false
	}
	var parent, at uint64
	if b.System, b.Timeline, parent, at, ok = parts(m); !ok || parent >= uint64(b.Timeline) {
		return Branch{}, mark, false
	}
	b.Parent, b.At = uint32(parent), pgcluster.LSN(at)
	mark, ok = parseMark(m[5])
	return b, mark, ok
}

// parts reads the decimal system, then three hexadecimal numbers, of which the first is a timeline.
func parts(m []string) (system uint64, timeline uint32, a, b uint64, ok bool) {
	system, err := strconv.ParseUint(m[1], 10, 64)
	tli, _ := strconv.ParseUint(m[2], 16, 32) // eight digits
	a, _ = strconv.ParseUint(m[3], 16, 64)    // at most sixteen digits
	b, _ = strconv.ParseUint(m[4], 16, 64)
	return system, uint32(tli), a, b, err == nil && tli > 0
}
