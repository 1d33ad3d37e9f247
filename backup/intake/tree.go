package intake

import (
	"encoding/json"
	"errors"
	"fmt"

	"practicectl/backup/repo"
	"practicectl/backup/writer"
)

// Grove writes the trees of one snapshot: page maps first, then the blocks that refer to them.
type Grove struct {
	w     *writer.Writer
	lane  *writer.Lane
	used  map[repo.PackID]bool
	trees []planned
}

type planned struct {
	name    string
	entries []Saved
	maps    [][]writer.Place // page maps of each entry that has some
	blocks  []writer.Place
	ids     []byte
}

// NewGrove begins the trees of a snapshot. All content must be sealed.
func NewGrove(w *writer.Writer) (*Grove, error) {
	lane, err := w.Lane(writer.Meta)
	return &Grove{w: w, lane: lane, used: map[repo.PackID]bool{}}, err
}

// Add takes a tree.
func (g *Grove) Add(name string, entries []Saved) {
	g.trees = append(g.trees, planned{name: name, entries: entries, maps: make([][]writer.Place, len(entries))})
}

// Write stores the trees and returns them with the table of packs that their blocks refer to.
func (g *Grove) Write() ([]repo.Tree, []repo.PackID, error) {
	if err := g.writeMaps(); err != nil {
		return nil, nil, err
	}
	if err := g.writeBlocks(); err != nil {
		return nil, nil, err
	}
	var packs packTable
	out := make([]repo.Tree, len(g.trees))
	for i, t := range g.trees {
		out[i] = repo.Tree{Name: t.name, Blocks: []repo.Ref{}, Digest: g.lane.Hasher().Digest(t.ids), Files: int64(len(t.entries))}
		for _, p := range t.blocks {
			out[i].Blocks = append(out[i].Blocks, g.ref(&packs, p))
		}
		for _, e := range t.entries {
			out[i].Bytes += e.Entry.Size
		}
	}
	return out, packs.list(), nil
}

// Used lists every pack that the snapshot refers to.
func (g *Grove) Used() []repo.StoredPack { return g.w.Packs(g.used) }

func (g *Grove) writeMaps() error {
	for t := range g.trees {
		for i, s := range g.trees[t].entries {
			if len(s.runs) <= repo.MaxInlineRuns {
				continue
			}
			for _, runs := range cut(s.runs, repo.MaxMapPages) {
				var packs packTable
				m := repo.PageMap{Runs: g.runs(&packs, runs)}
				m.Packs = packs.list()
				places, err := g.store(m)
				if err != nil {
					return err
				}
				g.trees[t].maps[i] = append(g.trees[t].maps[i], places)
			}
		}
	}
	if err := g.lane.Flush(); err != nil {
		return err
	}
	return g.w.Seal()
}

func (g *Grove) writeBlocks() error {
	for t := range g.trees {
		tree := &g.trees[t]
		for from := 0; from < len(tree.entries); {
			to := from + 1
			for to < len(tree.entries) && to-from < maxBlock && !g.ends(tree.entries[to-1].Entry.Path) {
				to++
			}
			if err := g.writeBlock(tree, from, to); err != nil {
				return err
			}
			from = to
		}
	}
	if err := g.lane.Flush(); err != nil {
		return err
	}
	return g.w.Seal()
}

// maxBlock is the most entries in a block.
const maxBlock = 512

// ends tells whether a block ends after the entry path: on the average after 64 entries, and at the same entries in every
// snapshot, so that a new file changes one block and not all that follow.
func (g *Grove) ends(path string) bool { return g.lane.Hasher().Digest([]byte(path))[0]&63 == 0 }

func (g *Grove) writeBlock(t *planned, from, to int) error {
	data, err := g.encode(t, from, to)
	if err != nil {
		return err
	}
	if len(data) > repo.MaxFrame {
		if to-from == 1 {
			return fmt.Errorf("%s is too large to be saved as one file", t.entries[from].Entry.Path)
		}
		half := from + (to-from)/2
		return errors.Join(g.writeBlock(t, from, half), g.writeBlock(t, half, to))
	}
	id, place, err := g.lane.Chunk(data)
	t.ids = append(t.ids, id[:]...)
	t.blocks = append(t.blocks, place)
	return err
}

func (g *Grove) encode(t *planned, from, to int) ([]byte, error) {
	var packs packTable
	b := repo.Block{Entries: make([]repo.Entry, 0, to-from)}
	for i := from; i < to; i++ {
		s := &t.entries[i]
		e := s.Entry
		if t.maps[i] == nil {
			e.Runs = g.runs(&packs, s.runs)
		} else {
			g.runs(new(packTable), s.runs) // only to note the packs below the maps as used
		}
		for _, m := range t.maps[i] {
			e.Maps = append(e.Maps, g.ref(&packs, m))
		}
		for _, c := range s.chunks {
			e.Chunks = append(e.Chunks, g.ref(&packs, c))
		}
		b.Entries = append(b.Entries, e)
	}
	b.Packs = packs.list()
	return json.Marshal(b)
}

func (g *Grove) store(v any) (writer.Place, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return writer.Place{}, err
	}
	_, place, err := g.lane.Chunk(data)
	return place, err
}

func (g *Grove) ref(t *packTable, p writer.Place) repo.Ref {
	pack, frame, off, n := g.w.Locate(p)
	g.used[pack] = true
	return repo.Ref{t.index(pack), frame, off, n}
}

func (g *Grove) runs(t *packTable, runs []run) []repo.Run {
	out := make([]repo.Run, 0, len(runs))
	for _, r := range runs {
		if r.zero {
			out = append(out, repo.Run{repo.ZeroPack, 0, 0, r.n})
			continue
		}
		pack, frame, off, _ := g.w.Locate(r.at)
		g.used[pack] = true
		out = append(out, repo.Run{t.index(pack), frame, off / repo.PageSize, r.n})
	}
	return out
}

// cut divides runs into stretches of at most n pages.
func cut(runs []run, n int64) [][]run {
	var out [][]run
	var cur []run
	room := n
	for _, r := range runs {
		for r.n > 0 {
			if room == 0 {
				out, cur, room = append(out, cur), nil, n
			}
			head := r
			head.n = min(r.n, room)
			cur = append(cur, head)
			room -= head.n
			if !r.zero && head.n < r.n {
				r.at = r.at.Skip(head.n)
				r.slot += head.n
			}
			r.n -= head.n
		}
	}
	return append(out, cur)
}

// packTable is the table of packs beside a list of references.
type packTable struct {
	at  map[repo.PackID]int64
	ids []repo.PackID
}

func (t *packTable) index(id repo.PackID) int64 {
	if i, ok := t.at[id]; ok {
		return i
	}
	if t.at == nil {
		t.at = map[repo.PackID]int64{}
	}
	t.at[id] = int64(len(t.ids))
	t.ids = append(t.ids, id)
	return t.at[id]
}

func (t *packTable) list() []repo.PackID {
	if t.ids == nil {
		return []repo.PackID{}
	}
	return t.ids
}
