package writer

import (
	"practicectl/backup/pagemap"
	"practicectl/backup/repo"
)

// Place is where content lies or will lie. [Writer.Locate] tells after [Writer.Seal].
type Place struct {
	frame uint32
	off   uint32
	len   uint32
}

// Run is the page at p, as a page map notes it.
func (p Place) Run() pagemap.Run {
	return pagemap.Run{Frame: p.frame, Slot: uint16(p.off / repo.PageSize), Count: 1}
}

// Chunk is the chunk at p, as a page map notes it.
func (p Place) Chunk() pagemap.Chunk {
	return pagemap.Chunk{Frame: p.frame, Offset: p.off, Length: p.len}
}

// PlaceOfRun is the place of the first page of a run that is not of zero pages.
func PlaceOfRun(r pagemap.Run) Place {
	return Place{frame: r.Frame, off: uint32(r.Slot) * repo.PageSize, len: repo.PageSize}
}

// PlaceOfChunk is the place that a page map noted.
func PlaceOfChunk(c pagemap.Chunk) Place { return Place{frame: c.Frame, off: c.Offset, len: c.Length} }
