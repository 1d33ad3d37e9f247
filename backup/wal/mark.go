package wal

import (
	"fmt"
	"regexp"
	"strconv"

	"practicectl/backup/repo"
)

// Mark ends the name of an object of log: the keyed hash of the bytes, and the epoch of the index key that made it.
type Mark struct {
	Epoch int
	ID    repo.ID
}

func (m Mark) String() string { return fmt.Sprintf("%d-%s", m.Epoch, m.ID) }

// Marker makes and compares marks under one index key. It is used by one goroutine.
type Marker struct {
	epoch int
	hash  *repo.Hasher
}

// NewMarker marks under an index key.
func NewMarker(k repo.IndexKey) *Marker { return &Marker{k.Epoch, k.Hasher()} }

// Mark is that of log or of a history file.
func (m *Marker) Mark(data []byte) Mark { return Mark{m.epoch, m.hash.Chunk(data)} }

// Fits tells that data may be what was marked. What was marked under the index key of another epoch cannot be compared.
func (m *Marker) Fits(data []byte, with Mark) bool {
	return with.Epoch != m.epoch || m.hash.Chunk(data) == with.ID
}

var markForm = regexp.MustCompile(`^([1-9][0-9]{0,8})-([0-9a-f]{32})$`)

func parseMark(text string) (m Mark, ok bool) {
	part := markForm.FindStringSubmatch(text)
	if part == nil {
		return m, false
	}
	m.Epoch, _ = strconv.Atoi(part[1]) // at most nine digits
	return m, m.ID.UnmarshalText([]byte(part[2])) == nil
}
