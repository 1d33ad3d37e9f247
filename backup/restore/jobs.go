package restore

import (
	"bytes"
	"cmp"
	"slices"

	"practicectl/backup/repo"
)

// tree is one tree to lay down, below its own folder.
type tree struct {
	name  string
	files []*file
}

// file is an entry and what is known about its content while packs come in.
type file struct {
	repo.Entry
	no    int    // place in the order in which files are written
	path  string // where it is laid, relative to the target
	ids   []byte // of its pages or chunks, filled in as they are found or written
	zeros []stretch

	first uint32 // number of its first block in the relation; of a file of pages
	there int64  // bytes that the target had of it; -1: nothing
	same  bool   // the target has it as it should be
}

// stretch is consecutive pages of a file.
type stretch struct{ first, n int64 }

// op writes a stretch of a frame into a file.
type op struct {
	file   *file
	at     int64 // in the file, bytes
	frame  int32
	off, n int32 // in the frame, bytes
	slot   int32 // of the first id
	kind   repo.FrameKind
}

// ids is how many ids the op has.
func (o op) ids() int {
	if o.kind == repo.ChunkFrame {
		return 1
	}
	return int(o.n) / repo.PageSize
}

// packJob is what is needed of one pack, by frame.
type packJob []op

// of is the ops of a frame. The job is in order.
func (j packJob) of(frame int) []op {
	from, _ := slices.BinarySearchFunc(j, int32(frame), func(o op, n int32) int { return cmp.Compare(o.frame, n) })
	to := from
	for to < len(j) && j[to].frame == int32(frame) {
		to++
	}
	return j[from:to]
}

// need is what is wanted of one pack.
type need struct {
	pack   repo.StoredPack
	frames []int // each once, in the order in which they are given out
	bytes  int64 // of plaintext that is wanted
	file   int   // the first that it writes into
}

// needs lists what is wanted of the packs in about the order of the files, so that a disk gets its writes in long stretches.
// Only ops for which wanted is true count.
func (p *Plan) needs(wanted func(*file) bool) []need {
	out := make([]need, 0, len(p.jobs))
	for id, job := range p.jobs {
		n := need{pack: p.packs[id]}
		type at struct {
			frame, file int
			pos         int64
		}
		var frames []at
		for _, o := range *job {
			if !wanted(o.file) {
				continue
			}
			n.bytes += int64(o.n)
			if len(frames) == 0 || frames[len(frames)-1].frame != int(o.frame) {
				frames = append(frames, at{int(o.frame), o.file.no, o.at})
			}
		}
		if len(frames) == 0 {
			continue
		}
		slices.SortFunc(frames, func(a, b at) int { return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.pos, b.pos)) })
		for _, f := range frames {
			n.frames = append(n.frames, f.frame)
		}
		n.file = frames[0].file
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b need) int {
		return cmp.Or(cmp.Compare(a.file, b.file), bytes.Compare(a.pack.ID[:], b.pack.ID[:]))
	})
	return out
}

func everything(*file) bool { return true }

// sortJobs brings the ops of each pack into order.
func (p *Plan) sortJobs() {
	for _, j := range p.jobs {
		slices.SortStableFunc(*j, func(a, b op) int { return cmp.Compare(a.frame, b.frame) })
	}
}
