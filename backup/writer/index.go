package writer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

// fewPacks is the number of packs up to which each is asked for; more are found by a listing.
const fewPacks = 2

// VerifyStored asks the store for every pack that this run stored and compares the sizes. What earlier runs stored was in the
// listing with which this run began. Error kind: Integrity, naming the pack.
func (w *Writer) VerifyStored(ctx context.Context) error {
	fresh := w.those(func(p packAt) bool { return p.fresh })
	stored := map[repo.PackID]int64{}
	if len(fresh) > fewPacks {
		var err error
		if stored, err = w.storedPacks(ctx); err != nil {
			return err
		}
	} else {
		for _, p := range fresh {
			info, err := w.o.Store.Stat(ctx, p.ID.Key())
			if err != nil && !errors.Is(err, objstore.ErrNotFound) {
				return repo.StoreError("verify the stored packs of", w.o.Store, p.ID.Key(), err)
			}
			stored[p.ID] = info.Size
		}
	}
	for _, p := range fresh {
		if size := stored[p.ID]; size != p.Size {
			return uerr.New(uerr.Integrity, "verify the stored packs of", w.o.Store.String()+" "+p.ID.Key(),
				fmt.Errorf("%d bytes were stored and the store shows %d", p.Size, size), "run the same command again: the pack is then stored anew")
		}
	}
	return nil
}

// those returns the packs that want accepts, in the order of their ids.
func (w *Writer) those(want func(packAt) bool) []repo.StoredPack {
	var out []repo.StoredPack
	for _, p := range w.packs {
		if want(p) {
			out = append(out, p.stored)
		}
	}
	slices.SortFunc(out, func(a, b repo.StoredPack) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return out
}

// WriteIndex stores the index of all packs that no stored segment names. It returns the bytes written.
func (w *Writer) WriteIndex(ctx context.Context) (int64, error) {
	var packs []repo.PackIndex
	written, ids := int64(0), 0
	flush := func() error {
		n, err := w.writeSegment(ctx, packs)
		written += n
		packs, ids = nil, 0
		return err
	}
	for _, p := range w.those(func(p packAt) bool { return p.unlisted }) {
		index, ok := w.cache.recall(p.ID)
		if !ok {
			return written, repo.CacheError(w.cache.pendingDir(), errors.New("the note about a pack was removed or changed while the run was under way"))
		}
		packs = append(packs, index)
		for _, f := range index.Frames {
			ids += len(f.IDs)
		}
		if ids >= repo.MaxSegmentIDs {
			if err := flush(); err != nil {
				return written, err
			}
		}
	}
	if len(packs) == 0 {
		return written, nil
	}
	return written, flush()
}

func (w *Writer) writeSegment(ctx context.Context, packs []repo.PackIndex) (int64, error) {
	for range 100 {
		key := repo.SegmentKey(w.o.Host, w.cache.next)
		data, err := w.o.Key.SealSegment(key, packs)
		if err != nil {
			return 0, err
		}
		w.cache.next++
		err = repo.Create(ctx, w.o.Store, key, data)
		if errors.Is(err, objstore.ErrExists) {
			continue // an index written by a run on a copy of this host; ours takes the next number
		}
		if err != nil {
			return 0, repo.StoreError("store the index in", w.o.Store, key, err)
		}
		if err := w.catalog.Add(key, packs); err != nil {
			return 0, repo.CacheError(w.cache.catalogDir(), err)
		}
		return int64(len(data)), nil
	}
	return 0, uerr.New(uerr.Failed, "store the index in", w.o.Store.String(), errors.New("another host writes under the same name"), "give each host a name of its own: practicectl backup init --host NAME")
}

// Committed drops the notes about packs of unfinished runs and tidies the catalog.
func (w *Writer) Committed() error {
	if err := w.catalog.Tidy(); err != nil {
		return repo.CacheError(w.cache.catalogDir(), err)
	}
	return w.cache.forget()
}
