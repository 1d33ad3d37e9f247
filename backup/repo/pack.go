package repo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// The plaintext of a pack is a series of zstd frames in the seekable format of the zstd project
// (contrib/seekable_format/zstd_seekable_compression_format.md): `zstd -d` unpacks all of it, and the skippable frame at
// the end tells where each frame begins.

const (
	// PageSize is the size of a PostgreSQL page in bytes.
	PageSize = 8192
	// MaxFramePages is the most pages in one frame.
	MaxFramePages = 128
	// MaxFrame is the most plaintext bytes in one frame.
	MaxFrame = MaxFramePages * PageSize
	// PageFrameSize is the plaintext bytes at which a writer closes a frame of pages: a restore that needs one page fetches and
	// unpacks so little, and the pages of a practice pack nearly as well as in frames of 1 MiB (within 8 %, notes within 1 %).
	PageFrameSize = 64 << 10
	// PackTarget is the size in bytes at which a pack is closed.
	PackTarget = 16 << 20
	// MaxPack is the most bytes that a reader accepts for one pack.
	MaxPack = 64 << 20
)

const (
	skippableMagic = 0x184D2A5E
	seekableMagic  = 0x8F92EAB1
	seekFooter     = 9
	seekEntry      = 8
)

// Frame is one compressed frame of a pack.
type Frame struct {
	Data []byte // zstd
	Size int    // bytes of plaintext
}

// PackWriter writes the plaintext of a pack, frame by frame.
type PackWriter struct {
	w     io.Writer
	table []byte // entries
}

// NewPackWriter begins a pack in w.
func NewPackWriter(w io.Writer) *PackWriter { return &PackWriter{w: w} }

// Add appends a frame.
func (p *PackWriter) Add(f Frame) error {
	p.table = binary.LittleEndian.AppendUint32(p.table, uint32(len(f.Data)))
	p.table = binary.LittleEndian.AppendUint32(p.table, uint32(f.Size))
	_, err := p.w.Write(f.Data)
	return err
}

// Frames is the number of frames so far.
func (p *PackWriter) Frames() int { return len(p.table) / seekEntry }

// Close writes the table of frames. It does not close the writer below.
func (p *PackWriter) Close() error {
	out := binary.LittleEndian.AppendUint32(nil, skippableMagic)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(p.table)+seekFooter))
	out = append(out, p.table...)
	out = binary.LittleEndian.AppendUint32(out, uint32(p.Frames()))
	out = append(out, 0) // no checksums in the table: each frame has its own
	out = binary.LittleEndian.AppendUint32(out, seekableMagic)
	_, err := p.w.Write(out)
	return err
}

// FrameSpan is where a frame lies in the plaintext of its pack.
type FrameSpan struct {
	Off  int64 // bytes
	Len  int   // compressed bytes
	Size int   // bytes of plaintext
}

var errSeekTable = errors.New("its table of frames is damaged")

// ReadSeekTable reads the table of frames at the end of a pack's plaintext of size bytes. It asks src for nothing else.
func ReadSeekTable(src io.ReaderAt, size int64) ([]FrameSpan, error) {
	if size < 8+seekFooter || size > MaxPack {
		return nil, errSeekTable
	}
	var foot [seekFooter]byte
	if _, err := src.ReadAt(foot[:], size-seekFooter); err != nil && err != io.EOF {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(foot[:]))
	if binary.LittleEndian.Uint32(foot[5:]) != seekableMagic || foot[4] != 0 || n*seekEntry+seekFooter+8 > size {
		return nil, errSeekTable
	}
	table := make([]byte, n*seekEntry)
	start := size - seekFooter - int64(len(table))
	if _, err := src.ReadAt(table, start); err != nil && err != io.EOF {
		return nil, err
	}
	frames := make([]FrameSpan, n)
	off := int64(0)
	for i := range frames {
		c, d := binary.LittleEndian.Uint32(table[i*seekEntry:]), binary.LittleEndian.Uint32(table[i*seekEntry+4:])
		if d > MaxFrame || off+int64(c) > start {
			return nil, errSeekTable
		}
		frames[i] = FrameSpan{Off: off, Len: int(c), Size: int(d)}
		off += int64(c)
	}
	if off != start-8 {
		return nil, errSeekTable
	}
	return frames, nil
}

// Unpack appends the plaintext of the frame to into, of which it returns only the new part. data is the frame as it is stored.
func (f FrameSpan) Unpack(dec *zstd.Decoder, data, into []byte) ([]byte, error) {
	out, err := dec.DecodeAll(data, into)
	if err != nil {
		return nil, err
	}
	if out = out[len(into):]; len(out) != f.Size {
		return nil, fmt.Errorf("a frame has %d bytes and not %d", len(out), f.Size)
	}
	return out, nil
}

// NewEncoder makes the compressor of frames. It is used by one goroutine with EncodeAll.
func NewEncoder() (*zstd.Encoder, error) { return newEncoder(zstd.SpeedFastest) }

// NewTightEncoder makes one that takes longer for an eighth less, for what is little.
func NewTightEncoder() (*zstd.Encoder, error) { return newEncoder(zstd.SpeedBetterCompression) }

func newEncoder(level zstd.EncoderLevel) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(level), zstd.WithWindowSize(1<<20))
}

// NewDecoder makes the decompressor of frames; it refuses frames that would need more memory than any of ours.
func NewDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*MaxFrame), zstd.WithDecoderMaxWindow(8<<20))
}
