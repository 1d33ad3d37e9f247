// Package writer turns pages and chunks into stored packs, each content only once.
//
// A Writer belongs to one run. Lanes feed it, one for each goroutine: they hash, look the id up, and gather what is new
// into compressed frames. The writer joins frames to packs, which are sealed and uploaded while the lanes go on.
package writer

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"filippo.io/age"
	"golang.org/x/sync/errgroup"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/progress"
)

// Class keeps content that is read together in packs of its own.
type Class int

// The classes.
const (
	Data Class = iota // pages and chunks of files
	Meta              // trees and page maps, which every restore reads first
	classes
)

// uploads is the number of packs on their way at once. Each holds its frames and its sealed bytes in memory.
const uploads = 3

// Options of a run.
type Options struct {
	Store      objstore.Store
	Recipients []age.Recipient
	Key        repo.IndexKey
	Host       string
	Generation int // of the settings; notes about packs that another generation sealed are dropped
	PackSize   int // bytes at which a pack is closed; 0: repo.PackTarget
	// Absent are packs that count as not stored, although they are: garbage collection has them on its list, or too little of
	// them is still in use. What lies in them is stored again; nothing new refers to them.
	Absent map[repo.PackID]bool
	Cache  string        // folder that keeps the index between runs; may be lost at any time
	Task   progress.Task // counts uploaded bytes; nil: none
	Crash  func(string)  // called at the points where a crash is interesting; nil: none
}

// Writer stores what lanes give it.
type Writer struct {
	o     Options
	table *table
	cache *cache
	ctx   context.Context // of all uploads; ends with the first that fails
	fail  context.CancelCauseFunc
	up    errgroup.Group

	mu     sync.Mutex
	frames []frameAt
	packs  []packAt
	open   [classes]*openPack
	added  int64
}

// frameAt is where a frame lies; known once its lane has flushed it.
type frameAt struct {
	pack uint32
	no   uint32
}

// packAt is a pack that frames refer to; its id is known once it is sealed.
type packAt struct {
	stored repo.StoredPack
	fresh  *repo.PackIndex // nil: stored and listed in the index before this run
}

type openPack struct {
	at     uint32
	frames []repo.Frame
	size   int
}

// Open reads the index of this host, so that nothing is stored twice. The context is that of all uploads.
func Open(ctx context.Context, o Options) (*Writer, error) {
	if o.PackSize == 0 {
		o.PackSize = repo.PackTarget
	}
	w := &Writer{o: o, table: newTable()}
	w.ctx, w.fail = context.WithCancelCause(ctx)
	w.up.SetLimit(uploads)
	w.cache = &cache{dir: o.Cache, store: o.Store, key: o.Key, host: o.Host, generation: o.Generation}
	stored, err := w.storedPacks(ctx)
	if err != nil {
		return nil, err
	}
	known, err := w.cache.load(ctx)
	if err != nil {
		return nil, err
	}
	listed := map[repo.PackID]bool{}
	for i := range known {
		p := &known[i]
		if size, ok := stored[p.index.Pack.ID]; !ok || size != p.index.Pack.Size {
			continue // an index entry is only a hint: what is not there is stored again
		}
		if listed[p.index.Pack.ID] || o.Absent[p.index.Pack.ID] {
			continue
		}
		listed[p.index.Pack.ID] = true
		if err := w.learn(p); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// learn enters the content of a stored pack into the table.
func (w *Writer) learn(p *knownPack) error {
	at := uint32(len(w.packs))
	entry := packAt{stored: p.index.Pack}
	if p.pending {
		entry.fresh = &p.index
	}
	w.packs = append(w.packs, entry)
	for no, f := range p.index.Frames {
		if _, err := f.Bytes(); err != nil {
			return repo.Tampered("read the index of", w.o.Store, p.from, err)
		}
		frame := uint32(len(w.frames))
		w.frames = append(w.frames, frameAt{pack: at, no: uint32(no)})
		off := uint32(0)
		for i, id := range f.IDs {
			n := uint32(repo.PageSize)
			if f.Kind == repo.ChunkFrame {
				n = f.Lens[i]
			}
			w.table.insert(f.Kind, id, Place{frame: frame, off: off, len: n})
			off += n
		}
	}
	return nil
}

func (w *Writer) storedPacks(ctx context.Context) (map[repo.PackID]int64, error) {
	out := map[repo.PackID]int64{}
	for info, err := range w.o.Store.List(ctx, repo.PackPrefix) {
		if err != nil {
			return nil, repo.StoreError("list the packs of", w.o.Store, "", err)
		}
		if id, err := repo.ParsePackID(info.Key[len(repo.PackPrefix):]); err == nil {
			out[id] = info.Size
		}
	}
	return out, nil
}

// newFrame reserves a number for a frame that a lane begins.
func (w *Writer) newFrame() uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frames = append(w.frames, frameAt{})
	return uint32(len(w.frames) - 1)
}

// addFrame puts a finished frame into the open pack of its class, and sends the pack off when it is full.
func (w *Writer) addFrame(class Class, number uint32, f repo.Frame, ids repo.FrameIndex) {
	w.mu.Lock()
	p := w.open[class]
	if p == nil {
		p = &openPack{at: uint32(len(w.packs))}
		w.packs = append(w.packs, packAt{fresh: &repo.PackIndex{}})
		w.open[class] = p
	}
	w.frames[number] = frameAt{pack: p.at, no: uint32(len(p.frames))}
	p.frames = append(p.frames, f)
	index := w.packs[p.at].fresh
	index.Frames = append(index.Frames, ids)
	p.size += len(f.Data)
	full := p.size >= w.o.PackSize
	if full {
		w.open[class] = nil
	}
	w.mu.Unlock()
	if full {
		w.send(p)
	}
}

func (w *Writer) crash(point string) {
	if w.o.Crash != nil {
		w.o.Crash(point)
	}
}

// Junk is what lies among the index and is none of it: the writer does without.
func (w *Writer) Junk() []error { return w.cache.junk }

// Err is why an upload failed; nil while all is well. Lanes ask it, so that they do not read on in vain.
func (w *Writer) Err() error { return context.Cause(w.ctx) }

// Locate tells where sealed content lies.
func (w *Writer) Locate(p Place) (pack repo.PackID, frame, off, n int64) {
	f := w.frames[p.frame]
	return w.packs[f.pack].stored.ID, int64(f.no), int64(p.off), int64(p.len)
}

// Added is the number of bytes that this run stored in packs.
func (w *Writer) Added() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.added
}

// fresh lists the packs that no stored index segment names yet.
func (w *Writer) fresh() []repo.PackIndex {
	var out []repo.PackIndex
	for _, p := range w.packs {
		if p.fresh != nil {
			out = append(out, *p.fresh)
		}
	}
	slices.SortFunc(out, func(a, b repo.PackIndex) int { return bytes.Compare(a.Pack.ID[:], b.Pack.ID[:]) })
	return out
}

// Hasher returns a new hasher under the index key.
func (w *Writer) Hasher() *repo.Hasher { return w.o.Key.Hasher() }
