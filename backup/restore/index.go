package restore

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"practicectl/backup/repo"
	"practicectl/internal/uerr"
)

// maxSegment bounds the bytes of an index segment that a restore reads.
const maxSegment = 256 << 20

// wantedIDs finds the ids that the pages and chunks of files should have. A snapshot only has one digest for each file; the ids
// stand in the index of the host, and they are believed when that digest is theirs. The index is a help and not needed: files of
// which it does not know everything are left out.
func (p *Plan) wantedIDs(ctx context.Context, files map[*file]bool) (map[*file][]byte, error) {
	want, known := map[*file][]byte{}, map[*file]int{}
	for f := range files {
		want[f] = make([]byte, len(f.ids))
		for _, z := range f.zeros {
			known[f] += int(z.n)
		}
	}
	var mu sync.Mutex
	seen := map[repo.PackID]bool{}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(requests / 4)
	prefix := repo.IndexPrefix + p.Snapshot.Host + "/"
	for info, err := range p.repo.Store.List(ctx, prefix) {
		if err != nil {
			return nil, repo.StoreError("list the index in", p.repo.Store, prefix, err)
		}
		g.Go(func() error {
			p.requests.Add(1)
			p.bytes.Add(info.Size)
			data, err := repo.ReadSized(gctx, p.repo.Store, info.Key, info.Size, maxSegment)
			if err != nil {
				if err = repo.StoreError("read the index in", p.repo.Store, info.Key, err); uerr.KindOf(err) == uerr.Integrity {
					return nil // too large, or gone meanwhile: only a help
				}
				return err
			}
			packs, err := p.key.OpenSegment(info.Key, data)
			if err != nil {
				return nil // of another epoch, or damaged: only a help
			}
			mu.Lock()
			defer mu.Unlock()
			for _, pack := range packs {
				if !seen[pack.Pack.ID] {
					seen[pack.Pack.ID] = p.learn(pack, want, known)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for f, ids := range want {
		if known[f] != len(ids)/len(repo.ID{}) || p.hash.Digest(ids) != *f.Digest {
			delete(want, f)
		}
	}
	return want, nil
}

// learn takes over the ids in a pack. It tells whether the pack is of interest.
func (p *Plan) learn(pack repo.PackIndex, want map[*file][]byte, known map[*file]int) bool {
	const size = len(repo.ID{})
	job := p.jobs[pack.Pack.ID]
	if job == nil {
		return false
	}
	p.frames[pack.Pack.ID] = len(pack.Frames)
	for _, o := range *job {
		ids := want[o.file]
		if ids == nil || int(o.frame) >= len(pack.Frames) {
			continue
		}
		f := pack.Frames[o.frame]
		first := int(o.off) / repo.PageSize
		if o.kind == repo.ChunkFrame {
			first = f.ChunkAt(int(o.off), int(o.n))
		}
		if f.Kind != o.kind || first < 0 || first+o.ids() > len(f.IDs) {
			continue
		}
		for i, id := range f.IDs[first : first+o.ids()] {
			copy(ids[(int(o.slot)+i)*size:], id[:])
		}
		known[o.file] += o.ids()
	}
	return true
}
