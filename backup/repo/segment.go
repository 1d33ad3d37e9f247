package repo

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// An index segment tells which ids lie where, so that a host that lost its cache still uploads nothing twice. It is
// sealed with the index key (XChaCha20-Poly1305, the object's key as associated data).

// FrameKind says how a frame is divided.
type FrameKind uint8

// The kinds of frames.
const (
	PageFrame  FrameKind = 0 // slots of PageSize bytes
	ChunkFrame FrameKind = 1 // chunks of any length, one after the other
)

// FrameIndex lists the ids in one frame, in order.
type FrameIndex struct {
	Kind FrameKind
	IDs  []ID
	Lens []uint32 // bytes of each chunk; nil for pages
}

// PackIndex lists the frames of one pack, in order.
type PackIndex struct {
	Pack   StoredPack
	Frames []FrameIndex
}

// MaxSegmentIDs is the number of ids after which a writer begins another segment.
const MaxSegmentIDs = 1 << 20

const segmentMagic = "practicectl index 1"

// segmentHead begins each segment. It tells the epoch, since what an older key sealed is of no use to a newer one.
func (k IndexKey) segmentHead() string {
	if k.Epoch == 1 {
		return segmentMagic + "\n"
	}
	return fmt.Sprintf("%s epoch %d\n", segmentMagic, k.Epoch)
}

// IsOld tells whether a segment says that it is of an earlier epoch than k.
func (k IndexKey) IsOld(data []byte) bool {
	line, _, ok := bytes.Cut(data[:min(len(data), 64)], []byte("\n"))
	rest, is := strings.CutPrefix(string(line), segmentMagic)
	if !ok || !is {
		return false
	}
	epoch := 1
	if rest != "" {
		if n, err := fmt.Sscanf(rest, " epoch %d", &epoch); err != nil || n != 1 {
			return false
		}
	}
	return epoch < k.Epoch
}

// SealSegment encodes packs for the object key.
func (k IndexKey) SealSegment(key string, packs []PackIndex) ([]byte, error) {
	plain := encodeSegment(packs)
	aead, err := chacha20poly1305.NewX(k.derive("index segment"))
	if err != nil {
		return nil, err
	}
	magic := k.segmentHead()
	out := make([]byte, len(magic)+aead.NonceSize(), len(magic)+aead.NonceSize()+len(plain)+aead.Overhead())
	copy(out, magic)
	nonce := out[len(magic):]
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return aead.Seal(out, nonce, plain, []byte(key)), nil
}

// OpenSegment decodes the object key.
func (k IndexKey) OpenSegment(key string, data []byte) ([]PackIndex, error) {
	aead, err := chacha20poly1305.NewX(k.derive("index segment"))
	if err != nil {
		return nil, err
	}
	magic := k.segmentHead()
	head := len(magic) + aead.NonceSize()
	if len(data) < head || string(data[:len(magic)]) != magic {
		return nil, errors.New("it is no index segment of this epoch")
	}
	plain, err := aead.Open(nil, data[len(magic):head], data[head:], []byte(key))
	if err != nil {
		return nil, errors.New("it was changed, or sealed with another index key")
	}
	return decodeSegment(plain)
}

func encodeSegment(packs []PackIndex) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uint32(len(packs)))
	for _, p := range packs {
		b = append(b, p.Pack.ID[:]...)
		b = le.AppendUint64(b, uint64(p.Pack.Size))
		b = le.AppendUint32(b, uint32(len(p.Frames)))
		for _, f := range p.Frames {
			b = append(b, byte(f.Kind))
			b = le.AppendUint32(b, uint32(len(f.IDs)))
			for i, id := range f.IDs {
				b = append(b, id[:]...)
				if f.Kind == ChunkFrame {
					b = le.AppendUint32(b, f.Lens[i])
				}
			}
		}
	}
	return b
}

var errSegment = errors.New("an index segment is malformed")

func decodeSegment(b []byte) ([]PackIndex, error) {
	r := segmentReader{b: b}
	packs := make([]PackIndex, 0, r.count(44))
	for range cap(packs) {
		var p PackIndex
		copy(p.Pack.ID[:], r.take(32))
		if s := r.take(8); s != nil {
			p.Pack.Size = int64(binary.LittleEndian.Uint64(s))
		}
		p.Frames = make([]FrameIndex, r.count(5))
		for i := range p.Frames {
			p.Frames[i] = r.frame()
		}
		packs = append(packs, p)
	}
	if r.bad || len(r.b) != 0 {
		return nil, errSegment
	}
	return packs, nil
}

type segmentReader struct {
	b   []byte
	bad bool
}

func (r *segmentReader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

// count reads a number of things that take at least each bytes, so that a damaged count allocates nothing.
func (r *segmentReader) count(each int) int {
	b := r.take(4)
	if b == nil {
		return 0
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n*int64(each) > int64(len(r.b)) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *segmentReader) frame() (f FrameIndex) {
	k := r.take(1)
	if k == nil || FrameKind(k[0]) > ChunkFrame {
		r.bad = true
		return f
	}
	f.Kind = FrameKind(k[0])
	each := len(ID{})
	if f.Kind == ChunkFrame {
		each += 4
	}
	f.IDs = make([]ID, r.count(each))
	if f.Kind == ChunkFrame {
		f.Lens = make([]uint32, len(f.IDs))
	}
	for i := range f.IDs {
		b := r.take(each)
		if b == nil {
			return f
		}
		copy(f.IDs[i][:], b)
		if f.Kind == ChunkFrame {
			f.Lens[i] = binary.LittleEndian.Uint32(b[16:])
		}
	}
	return f
}

// Bytes is the plaintext size of the frame; an error if no reader would accept it.
func (f FrameIndex) Bytes() (int, error) {
	n := len(f.IDs) * PageSize
	if f.Kind == ChunkFrame {
		n = 0
		for _, l := range f.Lens {
			n += int(l)
		}
	}
	if n > MaxFrame {
		return 0, fmt.Errorf("%w: a frame of %d bytes", errSegment, n)
	}
	return n, nil
}

// ChunkAt is the number of the chunk of n bytes at offset off of the frame's plaintext; -1: there is none.
func (f FrameIndex) ChunkAt(off, n int) int {
	at := 0
	for i, l := range f.Lens {
		if at == off && int(l) == n {
			return i
		}
		if at += int(l); at > off {
			break
		}
	}
	return -1
}
