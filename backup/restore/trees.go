package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"practicectl/backup/repo"
)

// reader gives out chunks of packs that hold trees and page maps, keeping each pack open while it is in use.
type reader struct {
	p     *Plan
	dec   *zstd.Decoder
	packs map[repo.PackID]*openPack
}

type openPack struct {
	r       *repo.PackReader
	frame   int64
	content []byte
}

var errRef = errors.New("it refers to something that is not there")

// chunk reads the chunk at ref.
func (t *reader) chunk(ctx context.Context, table []repo.PackID, ref repo.Ref) ([]byte, error) {
	id := table[ref[0]]
	o, ok := t.packs[id]
	if !ok {
		if _, ok := t.p.sizes[id]; !ok {
			return nil, fmt.Errorf("%w: pack %s", errRef, id)
		}
		plain, err := t.p.pack(ctx, id)
		if err != nil {
			return nil, err
		}
		r, err := repo.OpenPack(bytes.NewReader(plain), int64(len(plain)), t.dec)
		if err != nil {
			return nil, repo.Tampered("open the pack", t.p.repo.Store, id.Key(), err)
		}
		o = &openPack{r: r, frame: -1}
		t.packs[id] = o
	}
	if o.frame != ref[1] {
		content, err := o.r.Frame(int(ref[1]), nil)
		if err != nil {
			return nil, repo.Tampered("open the pack", t.p.repo.Store, id.Key(), err)
		}
		o.frame, o.content = ref[1], content
	}
	if ref[2]+ref[3] > int64(len(o.content)) {
		return nil, fmt.Errorf("%w: pack %s frame %d", errRef, id, ref[1])
	}
	return o.content[ref[2] : ref[2]+ref[3]], nil
}

// readTrees reads all blocks and page maps, proves them against the signed root, and plans what each pack has to give.
func (p *Plan) readTrees(ctx context.Context) error {
	dec, err := repo.NewDecoder()
	if err != nil {
		return err
	}
	defer dec.Close()
	r := &reader{p: p, dec: dec, packs: map[repo.PackID]*openPack{}}
	bad := func(err error) error { return repo.Tampered("read the trees of", p.repo.Store, p.Key, err) }
	if repo.RootDigest(p.hash, p.body.Trees) != p.Snapshot.Root {
		return bad(errors.New("its root is not the signed one"))
	}
	for _, t := range p.body.Trees {
		out := tree{name: t.Name}
		var ids []byte
		var blocks []repo.Block
		for _, ref := range t.Blocks {
			data, err := r.chunk(ctx, p.body.Packs, ref)
			if err != nil {
				return bad(err)
			}
			id := p.hash.Chunk(data)
			ids = append(ids, id[:]...)
			b, err := repo.ParseBlock(data)
			if err != nil {
				return bad(err)
			}
			blocks = append(blocks, b)
		}
		if p.hash.Digest(ids) != t.Digest {
			return bad(errors.New("a block of the tree is not the signed one"))
		}
		for _, b := range blocks {
			for _, e := range b.Entries {
				// No cluster that was saved has links: those to tablespaces are made here. One that has them would lead the
				// administrator, who configures the restored cluster, out of it.
				if e.Kind == repo.Link && t.Name == dataDir {
					return bad(fmt.Errorf("%s: a link in a database", e.Path))
				}
				f := &file{Entry: e, path: p.place(t.Name, e.Path)}
				if err := p.planFile(ctx, r, b.Packs, f); err != nil {
					return bad(fmt.Errorf("%s: %w", e.Path, err))
				}
				out.files = append(out.files, f)
				p.Files++
				p.Bytes += e.Size
			}
		}
		p.trees = append(p.trees, out)
	}
	return nil
}

// place is where an entry of a tree goes below the target. What lies in a tablespace gets a folder beside the data folder.
func (p *Plan) place(tree, path string) string {
	if rest, ok := strings.CutPrefix(path, "pg_tblspc/"); ok && p.body.Database != nil && tree == "pg" {
		oid, _, _ := strings.Cut(rest, "/")
		for _, t := range p.body.Database.Tablespaces {
			if t.OID == oid {
				return filepath.Join("tablespaces", filepath.FromSlash(rest))
			}
		}
	}
	return filepath.Join(tree, filepath.FromSlash(path))
}

func (p *Plan) planFile(ctx context.Context, r *reader, table []repo.PackID, f *file) error {
	switch f.Kind {
	case repo.Pages:
		f.ids = make([]byte, f.Size/repo.PageSize*int64(len(repo.ID{})))
		page := int64(0)
		if err := p.planRuns(table, f.Runs, f, &page); err != nil {
			return err
		}
		for _, ref := range f.Maps {
			data, err := r.chunk(ctx, table, ref)
			if err != nil {
				return err
			}
			m, err := repo.ParsePageMap(data)
			if err != nil {
				return err
			}
			if err := p.planRuns(m.Packs, m.Runs, f, &page); err != nil {
				return err
			}
		}
		if page*repo.PageSize != f.Size {
			return errors.New("its page map does not fit its size")
		}
	case repo.File:
		f.ids = make([]byte, len(f.Chunks)*len(repo.ID{}))
		at := int64(0)
		for i, c := range f.Chunks {
			if err := p.add(table[c[0]], c[1], op{file: f, off: c[2], n: c[3], at: at, slot: int64(i), kind: repo.ChunkFrame}); err != nil {
				return err
			}
			at += c[3]
		}
		if at != f.Size {
			return errors.New("its chunks do not fit its size")
		}
	}
	return nil
}

func (p *Plan) planRuns(table []repo.PackID, runs []repo.Run, f *file, page *int64) error {
	for _, r := range runs {
		first := *page
		if *page += r[3]; *page*repo.PageSize > f.Size {
			return errors.New("its page map does not fit its size")
		}
		if r[0] == repo.ZeroPack {
			continue // the file is made with its full length, and its ids of zero pages are zero
		}
		o := op{file: f, off: r[2] * repo.PageSize, n: r[3] * repo.PageSize, at: first * repo.PageSize, slot: first, kind: repo.PageFrame}
		if err := p.add(table[r[0]], r[1], o); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plan) add(pack repo.PackID, frame int64, o op) error {
	if _, ok := p.sizes[pack]; !ok {
		return fmt.Errorf("%w: pack %s", errRef, pack)
	}
	j := p.jobs[pack]
	if j == nil {
		j = &packJob{}
		p.jobs[pack] = j
	}
	(*j)[frame] = append((*j)[frame], o)
	return nil
}
