package repo

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"practicectl/internal/sealed"
)

// A snapshot is one object: a signed header that anyone can read, then the body, an age file of one zstd frame of JSON.

// maxBody bounds the plaintext of a body.
const maxBody = 256 << 20

// WALObject is a piece of write-ahead log that a snapshot needs.
type WALObject struct {
	Key    string `json:"key"`
	Size   int64  `json:"size"`   // bytes of the object
	SHA256 string `json:"sha256"` // of the object
}

// DatabaseFacts is what a header says about the database.
type DatabaseFacts struct {
	System   uint64 `json:"system_identifier,string"`
	Version  string `json:"version"`
	Major    int    `json:"major"`
	Timeline uint32 `json:"timeline"`
	Start    string `json:"start_lsn"`
	Stop     string `json:"stop_lsn"`
	Segment  int64  `json:"wal_segment_size,omitempty"` // bytes; 0: 16 MiB
	Witness  string `json:"witness,omitempty"`          // a token that was left in the database when all files were read; empty: there is no table for it
}

// Damage is a page whose checksum was wrong at the source.
type Damage struct {
	Path  string `json:"path"`
	Block uint32 `json:"block"` // of the relation's fork
	Copy  Copy   `json:"copy"`
}

// Copy says what a snapshot holds in the place of a damaged page.
type Copy string

// The copies.
const (
	NoCopy    Copy = "damaged" // the page as it was read: no good copy is known
	OlderCopy Copy = "older"   // the last good copy; the page may have changed since
	SameCopy  Copy = "whole"   // the last good copy, which the page should still be
)

// Lost are the damaged pages that a restore does not lay as they should be: nothing whole is known, or only an older state.
func (h Header) Lost() []Damage {
	var out []Damage
	for _, d := range h.Damaged {
		if d.Copy != SameCopy {
			out = append(out, d)
		}
	}
	return out
}

// Header is the plaintext part of a snapshot. It holds no names of files.
type Header struct {
	Format      int            `json:"format"`
	Repository  string         `json:"repository"`
	ID          string         `json:"id"` // 32 hexadecimal digits
	Parent      string         `json:"parent,omitempty"`
	Host        string         `json:"host"`
	Created     time.Time      `json:"created"` // when it was begun
	Committed   time.Time      `json:"committed"`
	Mode        string         `json:"mode"`             // "full-read" or "tracked"
	Reason      string         `json:"reason,omitempty"` // why every page was read
	Generation  int            `json:"settings_generation"`
	Epoch       int            `json:"index_epoch"`
	Database    *DatabaseFacts `json:"database,omitempty"`
	Files       int64          `json:"files"`
	Bytes       int64          `json:"bytes"`                 // what a restore lays down
	Added       int64          `json:"added"`                 // bytes this snapshot added to the store before its own object
	Class       string         `json:"class,omitempty"`       // "daily", "weekly" or "monthly", where the store locks objects
	LockedUntil time.Time      `json:"locked_until,omitzero"` // none of its objects can be deleted before; zero: not locked
	Packs       []StoredPack   `json:"packs"`                 // referenced packs, by id; empty when they are listed apart
	PackLists   []string       `json:"pack_lists"`            // n/<SHA-256> objects that list them
	WAL         []WALObject    `json:"wal"`                   // in the order of the log
	Damaged     []Damage       `json:"damaged"`               // corrupt pages at the source
	Root        ID             `json:"root"`                  // digest over all trees
	BodySize    int64          `json:"body_size"`             // bytes after the signature
	BodySHA256  string         `json:"body_sha256"`           // of these bytes
}

// Tree is one tree of a snapshot.
type Tree struct {
	Name   string `json:"name"`   // "pg" or "files"
	Blocks []Ref  `json:"blocks"` // chunks that hold the entries, in order
	Digest ID     `json:"digest"` // over the ids of the blocks, in order
	Files  int64  `json:"files"`
	Bytes  int64  `json:"bytes"`
}

// Tablespace is a tablespace outside of the data folder.
type Tablespace struct {
	OID      string `json:"oid"`
	Location string `json:"location"`
}

// WALPiece is where a stretch of log lies.
type WALPiece struct {
	Key   string `json:"key"`
	Start string `json:"start"` // LSN of its first byte
	End   string `json:"end"`   // LSN after its last byte
}

// DatabaseBody is what a restore of the database needs besides its files.
type DatabaseBody struct {
	Label         string       `json:"backup_label"`
	TablespaceMap string       `json:"tablespace_map"`
	Tablespaces   []Tablespace `json:"tablespaces"`
	Checksums     bool         `json:"checksums"`
	SegmentSize   int64        `json:"wal_segment_size"` // bytes
	WAL           []WALPiece   `json:"wal"`
	History       string       `json:"timeline_history"` // content of the timeline's history file; empty on timeline 1
}

// Body is the sealed part of a snapshot.
type Body struct {
	Format   int           `json:"format"`
	Snapshot string        `json:"snapshot"`
	Packs    []PackID      `json:"packs"` // table for the blocks
	Trees    []Tree        `json:"trees"`
	Database *DatabaseBody `json:"database,omitempty"`
}

// SealBody encrypts a body.
func SealBody(b Body, recipients []age.Recipient) ([]byte, error) {
	plain, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return sealed.SealBytes(enc.EncodeAll(plain, nil), recipients...)
}

// EncodeSnapshot signs h, which describes body, and returns the whole object.
func EncodeSnapshot(h Header, body []byte, key ed25519.PrivateKey) ([]byte, error) {
	sum := sha256.Sum256(body)
	h.BodySize, h.BodySHA256 = int64(len(body)), fmt.Sprintf("%x", sum)
	head, err := sign(kindSnapshot, h, key)
	if err != nil {
		return nil, err
	}
	return append(head, body...), nil
}

// ParseSnapshot checks a snapshot stored under key against the settings and returns its header and sealed body. The body
// is not looked at when headerOnly.
func ParseSnapshot(key string, data []byte, s Settings) (Header, []byte, error) {
	var h Header
	host, created, id, err := ParseSnapshotKey(key)
	if err != nil {
		return h, nil, err
	}
	line, sig, body, err := split(data)
	if err != nil {
		return h, nil, err
	}
	writer, ok := s.WriterOf(host)
	if !ok {
		return h, nil, fmt.Errorf("host %q may not write to this repository", host)
	}
	if err := verify(kindSnapshot, line, sig, writer); err != nil {
		return h, nil, err
	}
	if err := decode(line, &h.Format, &h); err != nil {
		return h, nil, err
	}
	sum := sha256.Sum256(body)
	switch {
	case h.Repository != s.Repository:
		return h, nil, errors.New("it belongs to another repository")
	case h.Host != host, h.ID != id, !h.Created.Truncate(time.Second).Equal(created):
		return h, nil, errors.New("it was stored under another name")
	case h.BodySize != int64(len(body)), h.BodySHA256 != fmt.Sprintf("%x", sum):
		return h, nil, errors.New("its body was changed or is cut short")
	}
	return h, body, nil
}

// OpenBody decrypts the body of the snapshot h.
func OpenBody(h Header, body []byte, ids ...age.Identity) (Body, error) {
	var b Body
	packed, err := sealed.OpenBytes(body, ids...)
	if err != nil {
		return b, err
	}
	dec, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(32<<20))
	if err != nil {
		return b, err
	}
	defer dec.Close()
	plain, err := io.ReadAll(io.LimitReader(dec, maxBody+1))
	if err != nil || len(plain) > maxBody {
		return b, fmt.Errorf("the body of the snapshot cannot be unpacked: %w", errors.Join(err))
	}
	if err := json.Unmarshal(plain, &b); err != nil {
		return b, fmt.Errorf("the body of the snapshot cannot be read: %w", err)
	}
	if b.Format != Format || b.Snapshot != h.ID {
		return b, errors.New("the body belongs to another snapshot")
	}
	return b, b.check(h)
}

// check refuses what no writer of ours makes, but a host that fell into the wrong hands may: the machine that restores
// must be safe from the one that was saved.
func (b Body) check(h Header) error {
	for _, t := range b.Trees {
		if !SafePath(t.Name) || strings.Contains(t.Name, "/") {
			return fmt.Errorf("unsafe name of a tree %q", clip(t.Name))
		}
		if err := checkRefs(t.Blocks, len(b.Packs)); err != nil {
			return err
		}
	}
	db := b.Database
	if (db == nil) != (h.Database == nil) {
		return errors.New("its header and its body do not agree on the database")
	}
	if db == nil {
		return nil
	}
	if n := db.SegmentSize; n < 1<<20 || n > 1<<30 || n&(n-1) != 0 {
		return fmt.Errorf("there are no segments of log of %d bytes", n)
	}
	for _, t := range db.Tablespaces {
		if _, err := strconv.ParseUint(t.OID, 10, 32); err != nil {
			return fmt.Errorf("unsafe name of a tablespace %q", clip(t.OID))
		}
	}
	return nil
}

// RootDigest is the digest over all trees that the header carries.
func RootDigest(h *Hasher, trees []Tree) ID {
	var all []byte
	for _, t := range trees {
		all = append(all, t.Name...)
		all = append(all, 0)
		all = append(all, t.Digest[:]...)
	}
	return h.Digest(all)
}
