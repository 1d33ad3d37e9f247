package writer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/sealed"
)

// openPack is a pack being filled. Frames are sealed and hashed as they come, so that they are in memory once.
type openPack struct {
	at      uint32
	out     *bytes.Buffer
	sum     hash.Hash
	sealed  io.WriteCloser
	plain   *repo.PackWriter
	index   repo.PackIndex
	content int64 // plaintext bytes
}

func (w *Writer) newPack() (*openPack, error) {
	p := &openPack{sum: sha256.New()}
	select {
	case b := <-w.buffers:
		p.out = bytes.NewBuffer(b[:0])
	default:
		p.out = &bytes.Buffer{}
	}
	var err error
	if p.sealed, err = sealed.Seal(io.MultiWriter(p.out, p.sum), w.o.Recipients...); err != nil {
		return nil, err
	}
	p.plain = repo.NewPackWriter(p.sealed)
	w.mu.Lock()
	p.at = uint32(len(w.packs))
	w.packs = append(w.packs, packAt{fresh: true, unlisted: true})
	w.mu.Unlock()
	return p, nil
}

func (p *openPack) add(f repo.Frame, ids repo.FrameIndex) error {
	p.index.Frames = append(p.index.Frames, ids)
	p.content += int64(f.Size)
	return p.plain.Add(f)
}

func (p *openPack) size() int { return p.out.Len() }

// send uploads a pack, waiting while enough others are on their way.
func (w *Writer) send(p *openPack) {
	w.up.Go(func() error {
		err := context.Cause(w.ctx)
		if err == nil {
			err = w.upload(p)
		}
		if err != nil {
			w.fail(err)
		}
		return err
	})
}

func (w *Writer) upload(p *openPack) error {
	if err := errors.Join(p.plain.Close(), p.sealed.Close()); err != nil {
		return err
	}
	data := p.out.Bytes()
	id := repo.PackID(p.sum.Sum(nil))
	sum := [sha256.Size]byte(id)
	_, err := w.o.Store.Put(w.ctx, id.Key(), bytes.NewReader(data), int64(len(data)), objstore.PutOptions{IfAbsent: true, SHA256: &sum})
	if err != nil && !errors.Is(err, objstore.ErrExists) {
		return repo.StoreError("store a pack in", w.o.Store, "", err)
	}
	w.crash("pack stored")
	p.index.Pack = repo.StoredPack{ID: id, Size: int64(len(data))}
	w.mu.Lock()
	w.packs[p.at].stored, w.packs[p.at].content = p.index.Pack, p.content
	w.added += int64(len(data))
	w.mu.Unlock()
	select {
	case w.buffers <- data:
	default:
	}
	if w.o.Task != nil {
		w.o.Task.Add(int64(len(data)))
	}
	return w.cache.remember(p.index)
}

// Seal sends off the open packs and waits until all are stored. All lanes must have been flushed. The writer can be used
// further: later content goes into new packs.
func (w *Writer) Seal() error {
	for class := range w.open {
		if p := w.open[class].pack; p != nil {
			w.open[class].pack = nil
			w.send(p)
		}
	}
	if err := w.up.Wait(); err != nil {
		return err
	}
	return context.Cause(w.ctx)
}

// Close waits until no upload is under way any more and closes the catalog. To give up, cancel the context first.
func (w *Writer) Close() error {
	_ = w.up.Wait() // why it failed is known already
	err := w.recent.close()
	if w.catalog != nil {
		err = errors.Join(err, w.catalog.Close())
	}
	return err
}
