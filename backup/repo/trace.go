package repo

import (
	"crypto/aes"
	"crypto/cipher"
)

// Trace tells in a third of the time of an [ID] whether a page is still the one that it was: the position in the log of its
// last logged change, which stands in its first 8 bytes, and 8 bytes of a keyed checksum. Traces stay on the host.
type Trace [16]byte

// Tracer makes traces. It is not safe for concurrent use.
type Tracer struct {
	mac cipher.AEAD
	sum [16]byte
}

// Tracer returns a new tracer under k.
func (k IndexKey) Tracer() *Tracer {
	block, err := aes.NewCipher(k.derive("page trace")[:16])
	if err != nil {
		panic(err) // the key is always 16 bytes
	}
	mac, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the block is always 16 bytes
	}
	return &Tracer{mac: mac}
}

// nonce never changes: nothing is encrypted, and nobody outside sees the checksums. With a secret key two pages have the
// same one by chance only, once in 2^55 (GHASH is almost universal: NIST SP 800-38D, McGrew and Viega 2004).
var nonce [12]byte

// Page is the trace of a page.
func (t *Tracer) Page(page []byte) (trace Trace) {
	copy(trace[:8], page)
	copy(trace[8:], t.mac.Seal(t.sum[:0], nonce[:], nil, page))
	return trace
}

// LSN is the position of the last logged change of the page with this trace.
func (t Trace) LSN() uint64 { return PageLSN(t[:]) }

// PageLSN is the position of the last logged change of a page (pd_lsn: two halves, the upper one first).
func PageLSN(page []byte) uint64 {
	le := func(b []byte) uint64 { return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 }
	return le(page)<<32 | le(page[4:])
}
