package sealed

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20"

	"practicectl/internal/uerr"
)

// Sizes of the payload of an age file (age-encryption.org/v1, "Payload"): a nonce, then pieces of 64 KiB, each with a tag.
const (
	streamNonce = 16
	streamPiece = 64 << 10
	streamTag   = 16
	streamKey   = 32
)

// ErrShortHead is returned by [NewExcerpts] when the header of the file is longer than the bytes that were given.
var ErrShortHead = errors.New("the header of the encrypted file is longer than what was read of it")

// Excerpts decrypts stretches of an age file of which only these bytes were read, so that one page costs a few kilobytes and not
// the 64 KiB that one tag covers. Nothing authenticates what it gives out: its user must prove every byte by other means before
// relying on it, as a restore does with the keyed ids that a snapshot's signature covers. It is safe for concurrent use.
type Excerpts struct {
	key     [streamKey]byte
	payload int64 // where the pieces begin in the file
	plain   int64
}

// NewExcerpts opens a file of size bytes that begins with head. Errors: [ErrShortHead], kinds Auth (no identity fits) and
// Integrity.
func NewExcerpts(head []byte, size int64, identities ...age.Identity) (*Excerpts, error) {
	if len(identities) == 0 {
		return nil, noIdentity()
	}
	header, err := age.ExtractHeader(bytes.NewReader(head))
	if err != nil || len(header)+streamNonce > len(head) {
		if int64(len(head)) < size {
			return nil, ErrShortHead
		}
		return nil, classify(errors.Join(err, io.ErrUnexpectedEOF), nil)
	}
	fileKey, err := age.DecryptHeader(header, identities...)
	if err != nil {
		return nil, classify(err, nil)
	}
	nonce := head[len(header):][:streamNonce]
	key, err := hkdf.Key(sha256.New, fileKey, nonce, "payload", streamKey)
	if err != nil {
		return nil, uerr.New(uerr.Failed, "decrypt", "", err, "")
	}
	e := &Excerpts{payload: int64(len(header)) + streamNonce}
	copy(e.key[:], key)
	sealed := size - e.payload
	pieces := (sealed + streamPiece + streamTag - 1) / (streamPiece + streamTag)
	if e.plain = sealed - pieces*streamTag; pieces < 1 || e.plain < 0 {
		return nil, classify(io.ErrUnexpectedEOF, nil)
	}
	return e, nil
}

// Size is the number of bytes of the plaintext.
func (e *Excerpts) Size() int64 { return e.plain }

// Span is where the file holds the n bytes of plaintext from off: [from, to).
func (e *Excerpts) Span(off, n int64) (from, to int64) {
	at := func(off int64) int64 { return e.payload + off + off/streamPiece*streamTag }
	if n <= 0 {
		return at(off), at(off)
	}
	return at(off), at(off+n-1) + 1
}

// Open decrypts the n bytes of plaintext from off in place; span is what the file holds at [Excerpts.Span] of them.
func (e *Excerpts) Open(span []byte, off, n int64) ([]byte, error) {
	if from, to := e.Span(off, n); off < 0 || off+n > e.plain || int64(len(span)) != to-from {
		return nil, errors.New("the stretch of an encrypted file is not as long as it was asked for")
	}
	out := span[:0]
	for n > 0 {
		piece, inside := off/streamPiece, off%streamPiece
		m := min(n, streamPiece-inside)
		c, err := chacha20.NewUnauthenticatedCipher(e.key[:], e.nonce(piece))
		if err != nil {
			return nil, err
		}
		const block = 64
		c.SetCounter(uint32(1 + inside/block)) // block 0 is the key of the tag
		var skipped [block]byte
		c.XORKeyStream(skipped[:inside%block], skipped[:inside%block])
		part := span[:m]
		c.XORKeyStream(part, part)
		out = append(out, part...) // moves it down over the tag before it
		off, n, span = off+m, n-m, span[m:]
		if n > 0 {
			span = span[streamTag:]
		}
	}
	return out, nil
}

// nonce is that of a piece: its number, and whether it is the last one.
func (e *Excerpts) nonce(piece int64) []byte {
	var n [chacha20.NonceSize]byte
	binary.BigEndian.PutUint64(n[3:], uint64(piece))
	if piece == max(e.plain-1, 0)/streamPiece {
		n[chacha20.NonceSize-1] = 1
	}
	return n[:]
}
