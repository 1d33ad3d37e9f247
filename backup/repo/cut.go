package repo

import (
	"io"

	chunkers "github.com/PlakarKorp/go-cdc-chunkers"
	_ "github.com/PlakarKorp/go-cdc-chunkers/chunkers/fastcdc" // registers the algorithm
)

// Bounds of the chunks that files are cut into, in bytes. A chunk fits into one frame.
const (
	minCut    = 64 << 10
	normalCut = 256 << 10
	maxCut    = MaxFrame
)

// Cutter cuts files where their content says so (FastCDC), so that bytes put into the middle of a file leave the chunks
// after them as they were. The places depend on the index key: whoever sees sizes learns nothing of a known file.
type Cutter struct {
	key []byte
	buf []byte
	in  *chunkers.Chunker
}

// Cutter returns a new cutter under k. It is not safe for concurrent use.
func (k IndexKey) Cutter() *Cutter {
	return &Cutter{key: k.derive("file cutting"), buf: make([]byte, 2*maxCut)}
}

// Open begins a file.
func (c *Cutter) Open(r io.Reader) (err error) {
	c.in, err = chunkers.NewChunkerBuffer("fastcdc-v1.0.0", r, &chunkers.ChunkerOpts{MinSize: minCut, NormalSize: normalCut, MaxSize: maxCut, Key: c.key}, c.buf)
	return err
}

// Next returns the next chunk, which is valid until the next call, and io.EOF after the last one.
func (c *Cutter) Next() ([]byte, error) {
	chunk, err := c.in.Next()
	if len(chunk) > 0 {
		return chunk, nil
	}
	if err == nil {
		err = io.EOF
	}
	return nil, err
}
