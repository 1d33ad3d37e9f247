// Package writer turns pages and chunks into stored packs, each content only once.
//
// A Writer belongs to one run. Lanes feed it, one for each goroutine: they hash, look the id up, and gather what is new
// into compressed frames. The writer seals frames into packs as they come and uploads full ones while the lanes go on.
package writer

import (
	"context"
	"maps"
	"slices"
	"sync"

	"filippo.io/age"
	"golang.org/x/sync/errgroup"

	"practicectl/backup/catalog"
	"practicectl/backup/pagemap"
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

// uploads is the number of packs on their way at once. Each holds its sealed bytes in memory.
const uploads = 3

// Options of a run.
type Options struct {
	Store      objstore.Store
	Recipients []age.Recipient
	Key        repo.IndexKey
	Host       string
	Generation int // of the settings; notes about packs that another generation sealed are dropped
	PackSize   int // bytes at which a pack is closed; 0: repo.PackTarget
	// Absent are packs that count as not stored, although they are: garbage collection has them on its list. What lies in them is
	// stored again; nothing new refers to them.
	Absent map[repo.PackID]bool
	// Retired are packs of which too little is in use. What lies in them is stored again, too; but they are there still, and what
	// cannot be read from its source any more may stay in them.
	Retired map[repo.PackID]bool
	Cache   string        // folder that keeps the catalog between runs; may be lost at any time
	Prior   *pagemap.Map  // of the snapshot before; nil: none
	Task    progress.Task // counts uploaded bytes; nil: none
	Crash   func(string)  // called at the points where a crash is interesting; nil: none
}

// Writer stores what lanes give it.
type Writer struct {
	o       Options
	recent  *table           // what this run stored
	catalog *catalog.Catalog // what earlier runs stored
	cache   *cache
	ctx     context.Context // of all uploads; ends with the first that fails
	fail    context.CancelCauseFunc
	up      errgroup.Group
	buffers chan []byte // of sealed packs, to be used again
	open    [classes]slot
	retired []repo.PackID // those that the store has

	mu       sync.Mutex
	frames   []pagemap.Frame
	packs    []packAt
	number   map[repo.PackID]uint32   // of packs
	numbered map[pagemap.Frame]uint32 // of frames that the catalog told of
	added    int64
}

// packAt is a pack that frames lie in; its id is known once it is sealed.
type packAt struct {
	stored   repo.StoredPack
	content  int64 // plaintext bytes of the pages and chunks in it; 0: not known
	missing  bool  // an earlier run stored it, and it is there no more
	fresh    bool  // stored by this run
	unlisted bool  // no stored index segment names it
}

// slot holds the pack of a class that is being filled.
type slot struct {
	mu   sync.Mutex
	pack *openPack
}

// Open finds out what is stored, so that nothing is stored twice. The context is that of all uploads.
func Open(ctx context.Context, o Options) (*Writer, error) {
	if o.PackSize == 0 {
		o.PackSize = repo.PackTarget
	}
	w := &Writer{o: o, buffers: make(chan []byte, uploads+int(classes)), number: map[repo.PackID]uint32{}, numbered: map[pagemap.Frame]uint32{}}
	w.ctx, w.fail = context.WithCancelCause(ctx)
	w.up.SetLimit(uploads)
	w.cache = &cache{dir: o.Cache, store: o.Store, key: o.Key, host: o.Host, generation: o.Generation}
	w.recent = newTable(w.cache.spillDir(), w.tagger)
	if err := w.cache.prepare(); err != nil {
		return nil, err
	}
	stored, err := w.storedPacks(ctx)
	if err != nil {
		return nil, err
	}
	for id := range o.Retired {
		if _, ok := stored[id]; ok {
			w.retired = append(w.retired, id)
		}
	}
	maps.DeleteFunc(stored, func(id repo.PackID, _ int64) bool { return o.Absent[id] })
	w.adopt(o.Prior, stored)
	if w.catalog, err = w.cache.load(ctx, w.tagger); err != nil {
		return nil, err
	}
	w.catalog.Bind(func(p repo.StoredPack, content int64) (uint32, bool) {
		if size, ok := stored[p.ID]; !ok || size != p.Size || o.Retired[p.ID] {
			return 0, false // an entry is only a hint: what is not there is stored again
		}
		n := w.numberOf(p)
		w.packs[n].content = content
		return n, true
	})
	return w, w.learnPending(stored)
}

// storedPacks lists the packs that the store has, with their sizes.
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

// adopt takes over the tables of the page map, so that its numbers of frames and packs are those of the writer.
func (w *Writer) adopt(m *pagemap.Map, stored map[repo.PackID]int64) {
	if m == nil {
		return
	}
	w.frames = append(w.frames, m.Frames...)
	for i, p := range m.Packs {
		size, ok := stored[p.ID]
		w.packs = append(w.packs, packAt{stored: p.StoredPack, content: p.Content, missing: !ok || size != p.Size})
		w.number[p.ID] = uint32(i)
	}
}

func (w *Writer) tagger() *repo.Tagger { return w.o.Key.Tagger("catalog") }

// numberOf gives a stored pack its number.
func (w *Writer) numberOf(p repo.StoredPack) uint32 {
	n, ok := w.number[p.ID]
	if !ok {
		n = uint32(len(w.packs))
		w.packs = append(w.packs, packAt{stored: p})
		w.number[p.ID] = n
	}
	return n
}

// learnPending enters what a run stored that did not commit.
func (w *Writer) learnPending(stored map[repo.PackID]int64) error {
	pending, err := w.cache.pending()
	if err != nil {
		return err
	}
	for _, id := range pending {
		p, ok := w.cache.recall(id)
		if size, there := stored[id]; !ok || !there || size != p.Pack.Size {
			continue
		}
		if _, known := w.number[id]; known {
			continue // a segment names it already
		}
		at := w.numberOf(p.Pack)
		w.packs[at].unlisted = true
		w.packs[at].content = 0
		for no, f := range p.Frames {
			n, err := f.Bytes()
			if err != nil {
				return repo.Tampered("read the index of", w.o.Store, w.cache.pendingKey(id), err)
			}
			w.packs[at].content += int64(n)
			frame := uint32(len(w.frames))
			w.frames = append(w.frames, pagemap.Frame{Pack: at, No: uint32(no)})
			off := uint32(0)
			for i, id := range f.IDs {
				n := uint32(repo.PageSize)
				if f.Kind == repo.ChunkFrame {
					n = f.Lens[i]
				}
				w.recent.findOrAdd(catalog.KeyOf(f.Kind, id), func() Place { return Place{frame: frame, off: off, len: n} })
				off += n
			}
		}
		if err := w.recent.spillWhenFull(); err != nil {
			return err
		}
	}
	return nil
}

// find tells where content lies that is stored already, or that this run is about to store.
func (w *Writer) find(key catalog.Key) (Place, bool) {
	if p, ok := w.recent.find(key); ok {
		return p, true
	}
	e, ok := w.catalog.Find(key)
	if !ok {
		return Place{}, false
	}
	f := pagemap.Frame{Pack: e.Pack, No: e.Frame}
	w.mu.Lock()
	defer w.mu.Unlock()
	n, ok := w.numbered[f]
	if !ok {
		n = uint32(len(w.frames))
		w.frames = append(w.frames, f)
		w.numbered[f] = n
	}
	return Place{frame: n, off: e.Offset, len: e.Length}, true
}

// newFrame reserves a number for a frame that a lane begins.
func (w *Writer) newFrame() uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frames = append(w.frames, pagemap.Frame{})
	return uint32(len(w.frames) - 1)
}

// addFrame puts a finished frame into the open pack of its class, and sends the pack off when it is full.
func (w *Writer) addFrame(class Class, number uint32, f repo.Frame, ids repo.FrameIndex) error {
	s := &w.open[class]
	s.mu.Lock()
	if s.pack == nil {
		p, err := w.newPack()
		if err != nil {
			s.mu.Unlock()
			return err
		}
		s.pack = p
	}
	p := s.pack
	w.mu.Lock()
	w.frames[number] = pagemap.Frame{Pack: p.at, No: uint32(p.plain.Frames())}
	w.mu.Unlock()
	err := p.add(f, ids)
	full := p.size() >= w.o.PackSize
	if full {
		s.pack = nil
	}
	s.mu.Unlock()
	if err == nil && full {
		w.send(p)
	}
	return err
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

// Stored tells whether all these packs are there still.
func (w *Writer) Stored(packs []uint32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range packs {
		if w.packs[p].missing {
			return false
		}
	}
	return true
}

// RetiredFrame tells whether a frame of the prior page map lies in a retired pack.
func (w *Writer) RetiredFrame(frame uint32) bool {
	return w.o.Retired[w.o.Prior.Packs[w.o.Prior.Frames[frame].Pack].ID]
}

// Retired are the retired packs that the store has still.
func (w *Writer) Retired() []repo.PackID { return w.retired }

// AnyRetired tells whether one of these packs of the prior page map is retired.
func (w *Writer) AnyRetired(packs []uint32) bool {
	return len(w.o.Retired) > 0 && slices.ContainsFunc(packs, func(p uint32) bool { return w.o.Retired[w.o.Prior.Packs[p].ID] })
}

// Locate tells where sealed content lies: the number of its pack, the frame in it, offset and length in bytes.
func (w *Writer) Locate(p Place) (pack uint32, frame, off, n int64) {
	f := w.frames[p.frame]
	return f.Pack, int64(f.No), int64(p.off), int64(p.len)
}

// PackID is the id of a sealed pack.
func (w *Writer) PackID(number uint32) repo.PackID { return w.packs[number].stored.ID }

// Tables are all frames and packs by their numbers, for the next page map.
func (w *Writer) Tables() ([]pagemap.Frame, []pagemap.Pack) {
	packs := make([]pagemap.Pack, len(w.packs))
	for i, p := range w.packs {
		packs[i] = pagemap.Pack{StoredPack: p.stored, Content: p.content}
	}
	return w.frames, packs
}

// Packs are the sealed packs with these numbers.
func (w *Writer) Packs(numbers map[uint32]bool) []repo.StoredPack {
	out := make([]repo.StoredPack, 0, len(numbers))
	for n := range numbers {
		out = append(out, w.packs[n].stored)
	}
	return out
}

// Added is the number of bytes that this run stored in packs.
func (w *Writer) Added() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.added
}

// Hasher returns a new hasher under the index key.
func (w *Writer) Hasher() *repo.Hasher { return w.o.Key.Hasher() }

// Tracer returns a new tracer under the index key.
func (w *Writer) Tracer() *repo.Tracer { return w.o.Key.Tracer() }
