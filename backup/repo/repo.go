// Package repo is the repository format: what each object of a backup repository holds, how it is named, sealed and signed.
//
// The format is written down for people in docs/formats/backup.md. Nothing here decides when an object is written or
// deleted; that is the business of the packages above.
package repo

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Format is the version of the repository format that this program writes and reads.
const Format = 1

// Names of objects and their prefixes.
const (
	RootKey        = "repo.json"
	SettingsPrefix = "r/"
	PackPrefix     = "p/"
	PackListPrefix = "n/"
	IndexPrefix    = "i/"
	SnapshotPrefix = "s/"
	WALPrefix      = "w/"
)

// ID names a page or a chunk: keyed BLAKE3 of its bytes, truncated. The zero ID is an all-zero page.
type ID [16]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// PackID names a pack: SHA-256 of the stored bytes.
type PackID [32]byte

func (p PackID) String() string { return hex.EncodeToString(p[:]) }

// Key is the object of the pack.
func (p PackID) Key() string { return PackPrefix + p.String() }

// ParsePackID reads 64 hexadecimal digits.
func ParsePackID(s string) (PackID, error) {
	var p PackID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(p) {
		return p, fmt.Errorf("%q is no pack id", clip(s))
	}
	copy(p[:], b)
	return p, nil
}

// MarshalText writes hexadecimal digits.
func (p PackID) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads hexadecimal digits.
func (p *PackID) UnmarshalText(b []byte) (err error) { *p, err = ParsePackID(string(b)); return err }

// MarshalText writes hexadecimal digits.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads hexadecimal digits.
func (id *ID) UnmarshalText(b []byte) error {
	raw, err := hex.DecodeString(string(b))
	if err != nil || len(raw) != len(id) {
		return fmt.Errorf("%q is no id", clip(string(b)))
	}
	copy(id[:], raw)
	return nil
}

// StoredPack is a pack, the size of its object in bytes and, in a store that locks objects, the version of the object. In
// JSON it is the text "<id> <size>" or "<id> <size> <version>".
type StoredPack struct {
	ID      PackID
	Size    int64
	Version string // empty: none, or not known
}

// maxVersion bounds the store's name of a version, in bytes.
const maxVersion = 1024

// MarshalText writes the fields with spaces between. A version that would not be read again is left out.
func (p StoredPack) MarshalText() ([]byte, error) {
	if versionForm.MatchString(p.Version) && len(p.Version) <= maxVersion {
		return fmt.Appendf(nil, "%s %d %s", p.ID, p.Size, p.Version), nil
	}
	return fmt.Appendf(nil, "%s %d", p.ID, p.Size), nil
}

// UnmarshalText reads what MarshalText wrote.
func (p *StoredPack) UnmarshalText(b []byte) error {
	id, size, ok := strings.Cut(string(b), " ")
	if !ok {
		return fmt.Errorf("%q is no pack with a size", clip(string(b)))
	}
	var err error
	size, version, ok := strings.Cut(size, " ")
	if ok && (!versionForm.MatchString(version) || len(version) > maxVersion) {
		return fmt.Errorf("%q is no version of a pack", clip(version))
	}
	p.Version = version
	if p.ID, err = ParsePackID(id); err != nil {
		return err
	}
	return json.Unmarshal([]byte(size), &p.Size)
}

const timeForm = "20060102T150405Z"

var (
	versionForm  = regexp.MustCompile(`^[!-~]+$`)
	hostForm     = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`)
	segmentForm  = regexp.MustCompile(`^i/[a-z0-9._-]{1,64}/([0-9]{8})$`)
	snapshotForm = regexp.MustCompile(`^s/([a-z0-9._-]{1,64})/([0-9]{8}T[0-9]{6}Z)-([0-9a-f]{32})$`)
)

// CheckHost refuses names that would not fit into a key.
func CheckHost(host string) error {
	if !hostForm.MatchString(host) || strings.Contains(host, "..") {
		return fmt.Errorf("host name %q: want up to 64 lower-case letters, digits, dots or dashes", clip(host))
	}
	return nil
}

// SettingsKey is the object of a generation of the settings.
func SettingsKey(generation int) string { return fmt.Sprintf("%s%08d", SettingsPrefix, generation) }

// SegmentKey is the object of an index segment.
func SegmentKey(host string, seq int) string { return fmt.Sprintf("%s%s/%08d", IndexPrefix, host, seq) }

// ParseSegmentKey tells the number of an index segment; false: no segment has such a name.
func ParseSegmentKey(key string) (seq int, ok bool) {
	m := segmentForm.FindStringSubmatch(key)
	if m == nil {
		return 0, false
	}
	seq, err := strconv.Atoi(m[1])
	return seq, err == nil
}

// SnapshotKey is the object of a snapshot.
func SnapshotKey(host string, created time.Time, id string) string {
	return SnapshotPrefix + host + "/" + created.UTC().Format(timeForm) + "-" + id
}

// ParseSnapshotKey takes a key apart.
func ParseSnapshotKey(key string) (host string, created time.Time, id string, err error) {
	m := snapshotForm.FindStringSubmatch(key)
	if m == nil {
		return "", time.Time{}, "", errors.New("the name has not the form of a snapshot's")
	}
	created, err = time.Parse(timeForm, m[2])
	return m[1], created, m[3], err
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
