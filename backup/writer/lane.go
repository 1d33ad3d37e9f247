package writer

import (
	"bytes"
	"crypto/rand"
	"errors"

	"github.com/klauspost/compress/zstd"

	"practicectl/backup/catalog"
	"practicectl/backup/repo"
)

// Lane feeds a writer from one goroutine.
type Lane struct {
	w      *Writer
	class  Class
	hash   *repo.Hasher
	enc    *zstd.Encoder
	dec    *zstd.Decoder
	kinds  [2]gather // by repo.FrameKind
	packed []byte
	check  []byte
	cut    *repo.Cutter // made when the first file is cut
}

// gather is a frame being filled.
type gather struct {
	begun  bool
	number uint32
	buf    []byte
	index  repo.FrameIndex
}

// Lane returns a new lane for content of a class.
func (w *Writer) Lane(class Class) (*Lane, error) {
	encoder := repo.NewEncoder
	if w.o.Prior != nil {
		encoder = repo.NewTightEncoder // only what changed is stored
	}
	enc, err := encoder()
	if err != nil {
		return nil, err
	}
	dec, err := repo.NewDecoder()
	if err != nil {
		return nil, err
	}
	return &Lane{w: w, class: class, hash: w.o.Key.Hasher(), enc: enc, dec: dec}, nil
}

// Hasher is the lane's own hasher.
func (l *Lane) Hasher() *repo.Hasher { return l.hash }

// Cutter cuts the files of the lane.
func (l *Lane) Cutter() *repo.Cutter {
	if l.cut == nil {
		l.cut = l.w.o.Key.Cutter()
	}
	return l.cut
}

// FindPage tells the id of a page and where it lies, if it is stored already.
func (l *Lane) FindPage(page []byte) (repo.ID, Place, bool) {
	id := l.hash.Page(page)
	p, ok := l.w.find(catalog.KeyOf(repo.PageFrame, id))
	return id, p, ok
}

// Page stores a page, whose id FindPage told, unless it is stored already.
func (l *Lane) Page(id repo.ID, page []byte) (Place, error) {
	return l.put(repo.PageFrame, id, page)
}

// Unlisted stores a page under a random id, so that no later run takes it for known: a damaged page is looked at, and
// reported, each time.
func (l *Lane) Unlisted(page []byte) (id repo.ID, p Place, err error) {
	if _, err := rand.Read(id[:]); err != nil {
		return id, p, err
	}
	p, err = l.put(repo.PageFrame, id, page)
	return id, p, err
}

// Chunk stores a chunk of at most repo.MaxFrame bytes unless it is stored already.
func (l *Lane) Chunk(data []byte) (repo.ID, Place, error) {
	id := l.hash.Chunk(data)
	if p, ok := l.w.find(catalog.KeyOf(repo.ChunkFrame, id)); ok {
		return id, p, nil
	}
	p, err := l.put(repo.ChunkFrame, id, data)
	return id, p, err
}

// frameSize is the plaintext bytes at which a frame is closed, by repo.FrameKind.
var frameSize = [2]int{repo.PageFrame: repo.PageFrameSize, repo.ChunkFrame: repo.MaxFrame}

func (l *Lane) put(kind repo.FrameKind, id repo.ID, data []byte) (Place, error) {
	g := &l.kinds[kind]
	if len(g.buf)+len(data) > frameSize[kind] {
		if err := l.flush(kind); err != nil {
			return Place{}, err
		}
	}
	if !g.begun {
		if err := l.w.Err(); err != nil {
			return Place{}, err
		}
		if err := l.w.recent.spillWhenFull(); err != nil {
			return Place{}, err
		}
		g.begun, g.number = true, l.w.newFrame()
		g.index.Kind = kind
	}
	return l.w.recent.findOrAdd(catalog.KeyOf(kind, id), func() Place {
		p := Place{frame: g.number, off: uint32(len(g.buf)), len: uint32(len(data))}
		g.buf = append(g.buf, data...)
		g.index.IDs = append(g.index.IDs, id)
		if kind == repo.ChunkFrame {
			g.index.Lens = append(g.index.Lens, uint32(len(data)))
		}
		return p
	}), nil
}

// Flush sends the frames being filled to the writer.
func (l *Lane) Flush() error {
	return errors.Join(l.flush(repo.PageFrame), l.flush(repo.ChunkFrame))
}

var errCompressor = errors.New("the compressor made a frame that does not unpack to its input; nothing was stored")

func (l *Lane) flush(kind repo.FrameKind) error {
	g := &l.kinds[kind]
	if len(g.buf) == 0 {
		return nil // a number reserved for a frame without content is harmless and used next
	}
	l.packed = l.enc.EncodeAll(g.buf, l.packed[:0])
	// A compressor that errs would make a backup that cannot be restored, and the host cannot read back what it sealed:
	// this is the only moment to find out.
	var err error
	if l.check, err = l.dec.DecodeAll(l.packed, l.check[:0]); err != nil || !bytes.Equal(l.check, g.buf) {
		return errCompressor
	}
	err = l.w.addFrame(l.class, g.number, repo.Frame{Data: l.packed, Size: len(g.buf)}, g.index)
	g.begun, g.buf, g.index = false, g.buf[:0], repo.FrameIndex{}
	return err
}
