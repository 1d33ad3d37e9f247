package writer

import (
	"context"
	"errors"
	"fmt"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

// VerifyStored asks the store for every pack of want and compares the sizes. Error kind: Integrity, naming the pack.
func (w *Writer) VerifyStored(ctx context.Context, want []repo.StoredPack) error {
	stored, err := w.storedPacks(ctx)
	if err != nil {
		return err
	}
	for _, p := range want {
		if size, ok := stored[p.ID]; !ok || size != p.Size {
			return uerr.New(uerr.Integrity, "verify the stored packs of", w.o.Store.String()+" "+p.ID.Key(),
				fmt.Errorf("%d bytes were stored and the store shows %d", p.Size, size), "run the same command again: the pack is then stored anew")
		}
	}
	return nil
}

// WriteIndex stores the index of all packs that no stored segment names. It returns the bytes written.
func (w *Writer) WriteIndex(ctx context.Context) (int64, error) {
	packs := w.fresh()
	written := int64(0)
	for len(packs) > 0 {
		n, ids := 0, 0
		for n < len(packs) && (n == 0 || ids < repo.MaxSegmentIDs) {
			for _, f := range packs[n].Frames {
				ids += len(f.IDs)
			}
			n++
		}
		size, err := w.writeSegment(ctx, packs[:n])
		if err != nil {
			return written, err
		}
		written += size
		packs = packs[n:]
	}
	return written, nil
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
		return int64(len(data)), w.cache.keep(w.cache.segmentFile(key), data)
	}
	return 0, uerr.New(uerr.Failed, "store the index in", w.o.Store.String(), errors.New("another host writes under the same name"), "give each host a name of its own: practicectl backup init --host NAME")
}

// Committed drops the notes about packs of unfinished runs.
func (w *Writer) Committed() error { return w.cache.forget() }

// Packs returns each pack that one of the places refers to once.
func (w *Writer) Packs(used map[repo.PackID]bool) []repo.StoredPack {
	out := make([]repo.StoredPack, 0, len(used))
	for _, p := range w.packs {
		if used[p.stored.ID] {
			out = append(out, p.stored)
			delete(used, p.stored.ID)
		}
	}
	return out
}
