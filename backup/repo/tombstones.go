package repo

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// TombstonePrefix is where the lists of what garbage collection will remove lie.
const TombstonePrefix = "t/"

// Tombstones is a list of objects that no snapshot referred to when it was made: t/<id>. Writers take what it names for not
// stored; what still nobody refers to after the grace period is removed.
type Tombstones struct {
	Format     int       `json:"format"`
	Repository string    `json:"repository"`
	ID         string    `json:"id"` // 32 hexadecimal digits
	Host       string    `json:"host"`
	Created    time.Time `json:"created"` // by the host's clock; what counts is when the store took the list
	Keys       []string  `json:"keys"`    // packs, lists of packs, index segments and log, in order
}

var tombstoneForm = regexp.MustCompile(`^t/([0-9a-f]{32})$`)

// TombstoneKey is the object of a list.
func TombstoneKey(id string) string { return TombstonePrefix + id }

// SignTombstones writes a list.
func SignTombstones(t Tombstones, key ed25519.PrivateKey) ([]byte, error) {
	return sign(kindTombstones, t, key)
}

// ParseTombstones checks a list stored under key against the settings.
func ParseTombstones(key string, data []byte, s Settings) (Tombstones, error) {
	var t Tombstones
	line, sig, rest, err := split(data)
	if err != nil {
		return t, err
	}
	if err := decode(line, &t.Format, &t); err != nil {
		return t, err
	}
	m := tombstoneForm.FindStringSubmatch(key)
	writer, ok := s.WriterOf(t.Host)
	switch {
	case !ok:
		return t, fmt.Errorf("host %q may not write to this repository", clip(t.Host))
	case m == nil || m[1] != t.ID || len(rest) != 0:
		return t, errors.New("it was stored under another name")
	case t.Repository != s.Repository:
		return t, errors.New("it belongs to another repository")
	}
	return t, verify(kindTombstones, line, sig, writer)
}

// Absent is what a writer takes for not stored: the packs of the list.
func (t Tombstones) Absent(into map[PackID]bool) {
	for _, key := range t.Keys {
		if len(key) > len(PackPrefix) && key[:len(PackPrefix)] == PackPrefix {
			if id, err := ParsePackID(key[len(PackPrefix):]); err == nil {
				into[id] = true
			}
		}
	}
}
