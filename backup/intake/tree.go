package intake

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"practicectl/backup/pagemap"
	"practicectl/backup/repo"
	"practicectl/backup/writer"
)

// Grove writes the trees of one snapshot: page maps first, then the blocks that refer to them.
type Grove struct {
	in     *Intake
	w      *writer.Writer
	lane   *writer.Lane
	rows   pagemap.Rows
	used   map[uint32]bool       // packs, by their numbers
	chunks map[writer.Place]bool // that the snapshot refers to
	trees  []planned
}

type planned struct {
	name    string
	entries []Saved
	inline  [][]pagemap.Run // of each entry with a short page map
	blocks  []writer.Place
	ids     []byte
}

// NewGrove begins the trees of a snapshot. All content must be sealed.
func NewGrove(in *Intake) (*Grove, error) {
	lane, err := in.w.Lane(writer.Meta)
	return &Grove{in: in, w: in.w, lane: lane, used: map[uint32]bool{}, chunks: map[writer.Place]bool{}}, err
}

// Add takes a tree.
func (g *Grove) Add(name string, entries []Saved) {
	g.trees = append(g.trees, planned{name: name, entries: entries, inline: make([][]pagemap.Run, len(entries))})
}

// Write stores the trees and returns them with the table of packs that their blocks refer to.
func (g *Grove) Write() ([]repo.Tree, []repo.PackID, error) {
	if err := g.writeMaps(); err != nil {
		return nil, nil, err
	}
	if err := g.writeBlocks(); err != nil {
		return nil, nil, err
	}
	packs := packTable{w: g.w}
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

// NoteChunks counts the bytes of chunks that the snapshot refers to, by pack.
func (g *Grove) NoteChunks(packs []pagemap.Pack) {
	for p := range g.chunks {
		pack, _, _, n := g.w.Locate(p)
		packs[pack].Chunks += n
	}
}

// Files is what the next run needs to know of the files of pages.
func (g *Grove) Files() []pagemap.File {
	var out []pagemap.File
	for _, t := range g.trees {
		for i := range t.entries {
			s := &t.entries[i]
			if s.Entry.Kind != repo.Pages {
				continue
			}
			f := pagemap.File{Path: s.name, Digest: *s.Entry.Digest}
			for k := range s.sections {
				f.Sections = append(f.Sections, s.sections[k].at)
			}
			out = append(out, f)
		}
	}
	return out
}

func (g *Grove) writeMaps() error {
	for t := range g.trees {
		for i := range g.trees[t].entries {
			if s := &g.trees[t].entries[i]; s.Entry.Kind == repo.Pages {
				if err := g.mapFile(s, &g.trees[t].inline[i]); err != nil {
					return fmt.Errorf("%s: %w", s.Entry.Path, err)
				}
			}
		}
	}
	if err := g.lane.Flush(); err != nil {
		return err
	}
	if err := g.w.Seal(); err != nil {
		return err
	}
	for t := range g.trees {
		for i := range g.trees[t].entries {
			g.noteUsed(&g.trees[t].entries[i])
		}
	}
	return nil
}

// mapFile stores the page maps of a file, or keeps its runs for the entry. What did not change is not even looked at.
func (g *Grove) mapFile(s *Saved, inline *[]pagemap.Run) error {
	runs := 0
	same := true
	for k := range s.sections {
		runs += int(s.sections[k].at.Runs)
		same = same && s.sections[k].kept
	}
	short := runs <= repo.MaxInlineRuns
	if known := g.in.known(s.name); same && known != nil && len(known.Sections) == len(s.sections) {
		s.Entry.Digest = &known.Digest
	}
	var ids []byte
	for k := range s.sections {
		sec := &s.sections[k]
		if s.Entry.Digest != nil && !short && sec.at.Stored != nil {
			continue
		}
		if err := g.in.o.Next.Rows(&sec.at, &g.rows); err != nil {
			return err
		}
		if s.Entry.Digest == nil {
			ids = g.ids(ids, sec)
		}
		if !sec.kept || short != (sec.at.Stored == nil) {
			if err := g.mapSection(sec, short); err != nil {
				return err
			}
		}
		if short {
			*inline = append(*inline, g.rows.Runs...)
		}
	}
	if s.Entry.Digest == nil {
		digest := g.lane.Hasher().Digest(ids)
		s.Entry.Digest = &digest
	}
	return nil
}

// ids appends the ids of the section that was read last, those of damaged pages as they are.
func (g *Grove) ids(ids []byte, sec *section) []byte {
	at := len(ids)
	ids = g.rows.IDs(ids)
	for i, id := range sec.ids {
		copy(ids[at+i*len(id):], id[:])
	}
	return ids
}

// mapSection stores the page map of the section that was read last.
func (g *Grove) mapSection(sec *section, short bool) error {
	sec.at.Packs, sec.at.Stored = nil, nil
	seen := map[uint32]bool{}
	for _, r := range g.rows.Runs {
		if r.Frame == pagemap.ZeroFrame {
			continue
		}
		if pack, _, _, _ := g.w.Locate(writer.PlaceOfRun(r)); !seen[pack] {
			seen[pack] = true
			sec.at.Packs = append(sec.at.Packs, pack)
		}
	}
	if short {
		return nil
	}
	packs := packTable{w: g.w}
	m := repo.PageMap{Runs: g.runs(&packs, g.rows.Runs), Packs: packs.list()}
	place, err := g.store(m)
	if err != nil {
		return err
	}
	chunk := place.Chunk()
	sec.at.Stored = &chunk
	return nil
}

// noteUsed notes the packs of a file's pages and page maps, now that all of them are stored.
func (g *Grove) noteUsed(s *Saved) {
	for k := range s.sections {
		at := &s.sections[k].at
		if at.Stored != nil {
			if pack, _, _, _ := g.w.Locate(writer.PlaceOfChunk(*at.Stored)); !slices.Contains(at.Packs, pack) {
				at.Packs = append(at.Packs, pack)
			}
		}
		for _, p := range at.Packs {
			g.used[p] = true
		}
	}
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
	packs := packTable{w: g.w}
	b := repo.Block{Entries: make([]repo.Entry, 0, to-from)}
	for i := from; i < to; i++ {
		s := &t.entries[i]
		e := s.Entry
		e.Runs = g.runs(&packs, t.inline[i])
		for k := range s.sections {
			if stored := s.sections[k].at.Stored; stored != nil {
				e.Maps = append(e.Maps, g.ref(&packs, writer.PlaceOfChunk(*stored)))
			}
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
	g.used[pack], g.chunks[p] = true, true
	return repo.Ref{t.index(pack), frame, off, n}
}

func (g *Grove) runs(t *packTable, runs []pagemap.Run) []repo.Run {
	out := make([]repo.Run, 0, len(runs))
	for _, r := range runs {
		if r.Frame == pagemap.ZeroFrame {
			out = append(out, repo.Run{repo.ZeroPack, 0, 0, int64(r.Count)})
			continue
		}
		pack, frame, off, _ := g.w.Locate(writer.PlaceOfRun(r))
		out = append(out, repo.Run{t.index(pack), frame, off / repo.PageSize, int64(r.Count)})
	}
	return out
}

// packTable is the table of packs beside a list of references.
type packTable struct {
	w   *writer.Writer
	at  map[uint32]int64
	ids []repo.PackID
}

func (t *packTable) index(pack uint32) int64 {
	if i, ok := t.at[pack]; ok {
		return i
	}
	if t.at == nil {
		t.at = map[uint32]int64{}
	}
	t.at[pack] = int64(len(t.ids))
	t.ids = append(t.ids, t.w.PackID(pack))
	return t.at[pack]
}

func (t *packTable) list() []repo.PackID {
	if t.ids == nil {
		return []repo.PackID{}
	}
	return t.ids
}
