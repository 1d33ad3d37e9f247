package writer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/sealed"
)

// send seals and uploads a pack, waiting while enough others are on their way.
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
	data, err := w.seal(p.frames)
	if err != nil {
		return err
	}
	id := repo.PackID(sha256.Sum256(data))
	if err := repo.Create(w.ctx, w.o.Store, id.Key(), data); err != nil && !errors.Is(err, objstore.ErrExists) {
		return repo.StoreError("store a pack in", w.o.Store, "", err)
	}
	w.crash("pack stored")
	w.mu.Lock()
	entry := &w.packs[p.at]
	entry.stored = repo.StoredPack{ID: id, Size: int64(len(data))}
	entry.fresh.Pack = entry.stored
	index := *entry.fresh
	w.added += int64(len(data))
	w.mu.Unlock()
	if w.o.Task != nil {
		w.o.Task.Add(int64(len(data)))
	}
	return w.cache.remember(index)
}

func (w *Writer) seal(frames []repo.Frame) ([]byte, error) {
	var out bytes.Buffer
	enc, err := sealed.Seal(&out, w.o.Recipients...)
	if err != nil {
		return nil, err
	}
	if err := repo.PackPlaintext(enc, frames); err != nil {
		return nil, err
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Seal sends off the open packs and waits until all are stored. All lanes must have been flushed. The writer can be used
// further: later content goes into new packs.
func (w *Writer) Seal() error {
	for class, p := range w.open {
		if p != nil {
			w.open[class] = nil
			w.send(p)
		}
	}
	if err := w.up.Wait(); err != nil {
		return err
	}
	return context.Cause(w.ctx)
}

// Wait returns when no upload is under way any more. It is for giving up: cancel the context first.
func (w *Writer) Wait() { _ = w.up.Wait() } // why it failed is known already
