package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"practicectl/backup/repo"
	"practicectl/internal/uerr"
)

var errRef = errors.New("it refers to something that is not there")

// chunks are the frames with trees and page maps, all of which a plan reads.
type chunks struct {
	p      *Plan
	mu     sync.Mutex
	frames map[frameOf][]byte
}

type frameOf struct {
	pack  repo.PackID
	frame int
}

// load reads the frames of refs. Each ref has its table of packs.
func (c *chunks) load(ctx context.Context, careful bool, refs []ref) error {
	lists := map[repo.PackID]*need{}
	for _, r := range refs {
		id := r.table[r.at[0]]
		pack, ok := c.p.packs[id]
		if !ok {
			return fmt.Errorf("%w: pack %s", errRef, id)
		}
		n := lists[id]
		if n == nil {
			n = &need{pack: pack}
			lists[id] = n
		}
		n.bytes += r.at[3]
		if no := int(r.at[1]); !slices.Contains(n.frames, no) && c.frames[frameOf{id, no}] == nil {
			n.frames = append(n.frames, no)
		}
	}
	needs := make([]need, 0, len(lists))
	for _, n := range lists {
		if len(n.frames) > 0 {
			needs = append(needs, *n)
		}
	}
	return c.p.read(ctx, needs, careful, func() taker { return c })
}

// ref is a reference with the table that it points into.
type ref struct {
	table []repo.PackID
	at    repo.Ref
}

func (c *chunks) take(pack repo.PackID, frame int, content []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames[frameOf{pack, frame}] = bytes.Clone(content)
	return nil
}

func (c *chunks) flush() error { return nil }

// get is the chunk at a ref that was loaded.
func (c *chunks) get(r ref) ([]byte, error) {
	content := c.frames[frameOf{r.table[r.at[0]], int(r.at[1])}]
	if r.at[2]+r.at[3] > int64(len(content)) {
		return nil, fmt.Errorf("%w: pack %s frame %d", errRef, r.table[r.at[0]], r.at[1])
	}
	return content[r.at[2] : r.at[2]+r.at[3]], nil
}

// readTrees reads all blocks and page maps, proves them against the signed root, and plans what each pack has to give. What does
// not prove itself is read once more, comparing packs with their names: that tells what was changed.
func (p *Plan) readTrees(ctx context.Context) error {
	err := p.tryTrees(ctx, false)
	if uerr.KindOf(err) == uerr.Integrity {
		err = p.tryTrees(ctx, true)
	}
	return err
}

func (p *Plan) tryTrees(ctx context.Context, careful bool) error {
	p.trees, p.jobs, p.zeros, p.Files, p.Bytes = nil, map[repo.PackID]*packJob{}, nil, 0, 0
	p.suspects.pages = nil
	seen := map[string]bool{}
	bad := func(err error) error { return repo.Tampered("read the trees of", p.repo.Store, p.Key, err) }
	if repo.RootDigest(p.hash, p.body.Trees) != p.Snapshot.Root {
		return bad(errors.New("its root is not the signed one"))
	}
	c := &chunks{p: p, frames: map[frameOf][]byte{}}
	var refs []ref
	for _, t := range p.body.Trees {
		if !p.mayMatch(t.Name) {
			continue
		}
		for _, b := range t.Blocks {
			refs = append(refs, ref{p.body.Packs, b})
		}
	}
	if err := c.load(ctx, careful, refs); err != nil {
		return bad(err)
	}
	var maps []ref
	var tables [][]repo.PackID // beside all files, in order
	for _, t := range p.body.Trees {
		if !p.mayMatch(t.Name) {
			continue
		}
		blocks, err := p.readBlocks(c, t)
		if err != nil {
			return bad(err)
		}
		out := tree{name: t.Name}
		for _, b := range blocks {
			for _, e := range b.Entries {
				// No cluster that was saved has links: those to tablespaces are made here. One that has them would lead the
				// administrator, who configures the restored cluster, out of it.
				if e.Kind == repo.Link && t.Name == dataDir {
					return bad(fmt.Errorf("%s: a link in a database", e.Path))
				}
				if !p.matches(t.Name, e.Path) {
					continue
				}
				f := &file{Entry: e, no: len(tables), path: p.place(t.Name, e.Path), first: firstBlock(e.Path), there: -1}
				if seen[f.path] {
					return bad(fmt.Errorf("%s: it is there twice", f.path))
				}
				seen[f.path] = true
				tables = append(tables, b.Packs)
				for _, m := range e.Maps {
					maps = append(maps, ref{b.Packs, m})
				}
				out.files = append(out.files, f)
				p.Files++
				p.Bytes += e.Size
			}
		}
		p.trees = append(p.trees, out)
	}
	if err := c.load(ctx, careful, maps); err != nil {
		return bad(err)
	}
	for _, t := range p.trees {
		for _, f := range t.files {
			if err := p.planFile(c, tables[f.no], f); err != nil {
				return bad(fmt.Errorf("%s: %w", f.Path, err))
			}
		}
	}
	p.sortJobs()
	if len(p.Paths) > 0 && p.Files == 0 {
		return uerr.New(uerr.NotFound, "restore", strings.Join(p.Paths, ", "), errors.New("nothing in the snapshot matches"), `paths begin with "files/" or "pg/", such as --path 'files/etc/practice/*'`)
	}
	return nil
}

// readBlocks reads the blocks of a tree and proves them.
func (p *Plan) readBlocks(c *chunks, t repo.Tree) ([]repo.Block, error) {
	var ids []byte
	var blocks []repo.Block
	for _, at := range t.Blocks {
		data, err := c.get(ref{p.body.Packs, at})
		if err != nil {
			return nil, err
		}
		id := p.hash.Chunk(data)
		ids = append(ids, id[:]...)
		b, err := repo.ParseBlock(data)
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, b)
	}
	if p.hash.Digest(ids) != t.Digest {
		return nil, errors.New("a block of the tree is not the signed one")
	}
	return blocks, nil
}

// place is where an entry of a tree goes below the target. What lies in a tablespace gets a folder beside the data folder.
func (p *Plan) place(tree, path string) string {
	if rest, ok := strings.CutPrefix(path, "pg_tblspc/"); ok && p.body.Database != nil && tree == dataDir {
		oid, _, _ := strings.Cut(rest, "/")
		for _, t := range p.body.Database.Tablespaces {
			if t.OID == oid {
				return filepath.Join(tablespacesDir, filepath.FromSlash(rest))
			}
		}
	}
	if tree == dataDir {
		tree = p.data
	}
	return filepath.Join(tree, filepath.FromSlash(path))
}

func (p *Plan) planFile(c *chunks, table []repo.PackID, f *file) error {
	switch f.Kind {
	case repo.Pages:
		f.ids = make([]byte, f.Size/repo.PageSize*int64(len(repo.ID{})))
		page := int64(0)
		if err := p.planRuns(table, f.Runs, f, &page); err != nil {
			return err
		}
		for _, at := range f.Maps {
			data, err := c.get(ref{table, at})
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
			o := op{file: f, frame: int32(c[1]), off: int32(c[2]), n: int32(c[3]), at: at, slot: int32(i), kind: repo.ChunkFrame}
			if err := p.add(table[c[0]], o); err != nil {
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
			f.zeros = append(f.zeros, stretch{first, r[3]}) // the file is made with its full length, and the ids of zero pages are zero
			continue
		}
		o := op{file: f, frame: int32(r[1]), off: int32(r[2] * repo.PageSize), n: int32(r[3] * repo.PageSize), at: first * repo.PageSize, slot: int32(first), kind: repo.PageFrame}
		if err := p.add(table[r[0]], o); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plan) add(pack repo.PackID, o op) error {
	if _, ok := p.packs[pack]; !ok {
		return fmt.Errorf("%w: pack %s", errRef, pack)
	}
	j := p.jobs[pack]
	if j == nil {
		j = &packJob{}
		p.jobs[pack] = j
	}
	*j = append(*j, o)
	return nil
}
