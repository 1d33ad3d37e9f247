package writer

import "practicectl/backup/repo"

// Place is where content lies or will lie. [Writer.Locate] tells after [Writer.Seal].
type Place struct {
	frame uint32
	off   uint32
	len   uint32
}

// Slot is where a place's page lies within its frame, for putting pages together to runs.
func (p Place) Slot() (frame uint32, slot int64) { return p.frame, int64(p.off / repo.PageSize) }

// Skip is the place n pages further in the same frame.
func (p Place) Skip(n int64) Place { p.off += uint32(n * repo.PageSize); return p }
