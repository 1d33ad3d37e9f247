package pagemap

import (
	"encoding/binary"
	"io"

	"practicectl/backup/repo"
)

// Rows is a section in memory.
type Rows struct {
	Pages []byte // rows, see At
	Runs  []Run
	raw   []byte
}

// Len is the number of pages.
func (r *Rows) Len() int { return len(r.Pages) / rowSize }

// At is the row of page i.
func (r *Rows) At(i int) Row {
	b := r.Pages[i*rowSize:]
	return Row{repo.ID(b[:16]), repo.Trace(b[16:32])}
}

// Reset forgets all pages.
func (r *Rows) Reset() { r.Pages, r.Runs = r.Pages[:0], r.Runs[:0] }

// Add appends a page.
func (r *Rows) Add(row Row, run Run) {
	r.Pages = append(r.Pages, row.ID[:]...)
	r.Pages = append(r.Pages, row.Trace[:]...)
	r.AddRun(run)
}

// AddRun appends a run, or makes the last one longer when it goes on there.
func (r *Rows) AddRun(run Run) {
	if n := len(r.Runs); n > 0 {
		last := &r.Runs[n-1]
		if last.Frame == run.Frame && (run.Frame == ZeroFrame || last.Slot+last.Count == run.Slot) && int(last.Count)+int(run.Count) <= SectionPages {
			last.Count += run.Count
			return
		}
	}
	r.Runs = append(r.Runs, run)
}

// IDs appends the ids of all pages to b.
func (r *Rows) IDs(b []byte) []byte {
	for i := range r.Len() {
		b = append(b, r.Pages[i*rowSize:i*rowSize+16]...)
	}
	return b
}

func (r *Rows) read(f io.ReaderAt, s *Section, tag func(...[]byte) repo.ID) error {
	n := int(s.Pages)*rowSize + int(s.Runs)*runSize
	if cap(r.raw) < n {
		r.raw = make([]byte, n)
	}
	r.raw = r.raw[:n]
	if _, err := f.ReadAt(r.raw, s.Offset); err != nil {
		return err
	}
	if tag(r.raw) != s.Tag {
		return ErrDamaged
	}
	r.Pages = append(r.Pages[:0], r.raw[:int(s.Pages)*rowSize]...)
	r.Runs = r.Runs[:0]
	for b := r.raw[len(r.Pages):]; len(b) > 0; b = b[runSize:] {
		r.Runs = append(r.Runs, Run{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:])})
	}
	return nil
}

func (r *Rows) encode() []byte {
	r.raw = append(r.raw[:0], r.Pages...)
	for _, run := range r.Runs {
		r.raw = binary.LittleEndian.AppendUint32(r.raw, run.Frame)
		r.raw = binary.LittleEndian.AppendUint16(r.raw, run.Slot)
		r.raw = binary.LittleEndian.AppendUint16(r.raw, run.Count)
	}
	return r.raw
}

// Places goes through the runs page by page, forwards.
type Places struct {
	runs []Run
	at   int // run
	off  int // pages of it that are passed
	page int
}

// NewPlaces begins at page 0.
func NewPlaces(runs []Run) *Places { return &Places{runs: runs} }

// Next is the place of page i, which must not be before that of the call before.
func (p *Places) Next(i int) Run {
	for skip := i - p.page; ; {
		left := int(p.runs[p.at].Count) - p.off
		if skip < left {
			p.off += skip
			p.page = i
			break
		}
		skip -= left
		p.at, p.off = p.at+1, 0
	}
	r := p.runs[p.at]
	if r.Frame != ZeroFrame {
		r.Slot += uint16(p.off)
	}
	r.Count = 1
	return r
}
