package intake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"practicectl/backup/repo"
	"practicectl/backup/writer"
	"practicectl/internal/progress"
)

// reader is one goroutine's part of the reading.
type reader struct {
	lane *writer.Lane
	task progress.Task
	buf  []byte
}

var zeroPage [repo.PageSize]byte

func newReader(w *writer.Writer, task progress.Task) (*reader, error) {
	lane, err := w.Lane(writer.Data)
	return &reader{lane: lane, task: task, buf: make([]byte, repo.MaxFrame)}, err
}

// pages saves one part of a file of pages. It stops quietly where the file ends.
func (r *reader) pages(ctx context.Context, f *File, p part) (out partResult, err error) {
	src, err := os.Open(f.Local)
	if f.MayVanish && errors.Is(err, fs.ErrNotExist) {
		r.task.Add(p.n * repo.PageSize)
		return partResult{gone: true}, nil
	}
	if err != nil {
		return out, err
	}
	defer src.Close()
	for out.pages < p.n {
		want := min(p.n-out.pages, repo.MaxFramePages) * repo.PageSize
		n, err := src.ReadAt(r.buf[:want], (p.first+out.pages)*repo.PageSize)
		if err != nil && err != io.EOF {
			return out, err
		}
		whole := n / repo.PageSize
		for i := range whole {
			if err := r.page(ctx, f, src, p.first+out.pages, r.buf[i*repo.PageSize:(i+1)*repo.PageSize], &out); err != nil {
				return out, err
			}
			out.pages++
		}
		if int64(n) < want {
			r.task.Add((p.n - out.pages) * repo.PageSize)
			break
		}
		r.task.Add(want)
		if ctx.Err() != nil {
			return out, context.Cause(ctx)
		}
	}
	return out, nil
}

// page saves one page. Only a page that is not stored already is proved: what is stored was proved when it came.
func (r *reader) page(ctx context.Context, f *File, src *os.File, no int64, page []byte, out *partResult) error {
	if bytes.Equal(page, zeroPage[:]) {
		out.runs = appendRun(out.runs, run{zero: true, n: 1})
		out.ids = append(out.ids, make([]byte, len(repo.ID{}))...)
		return nil
	}
	id, place, known := r.lane.FindPage(page)
	var err error
	switch {
	case known:
	case f.Blocks != nil && f.Blocks.Check(page, f.Blocks.First+uint32(no)) != Sound:
		return r.suspect(ctx, f, src, no, page, out)
	default:
		place, err = r.lane.Page(id, page)
	}
	out.add(id, place)
	return err
}

// rereads are the pauses before a suspect page is read again.
var rereads = [...]time.Duration{0, time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond}

// suspect reads a page again until it is sound. A page that changes between two readings is being written just now: the
// log holds a full image of it, so any of its states will do. One that stays wrong is damaged.
func (r *reader) suspect(ctx context.Context, f *File, src *os.File, no int64, page []byte, out *partResult) error {
	again := make([]byte, repo.PageSize)
	block := f.Blocks.First + uint32(no)
	changed := false
	for _, pause := range rereads {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		n, err := src.ReadAt(again, no*repo.PageSize)
		if n < repo.PageSize {
			if err != nil && err != io.EOF {
				return err
			}
			break // cut off meanwhile: any state will do
		}
		if changed = !bytes.Equal(again, page); changed {
			copy(page, again)
		}
		if f.Blocks.Check(page, block) == Sound {
			return r.page(ctx, f, src, no, page, out)
		}
		if changed {
			break
		}
	}
	if !changed {
		out.damaged = append(out.damaged, block)
	}
	id := r.lane.Hasher().Page(page)
	place, err := r.lane.Unlisted(page)
	out.add(id, place)
	return err
}

func (p *partResult) add(id repo.ID, place writer.Place) {
	frame, slot := place.Slot()
	p.runs = appendRun(p.runs, run{frame: frame, slot: slot, n: 1, at: place})
	p.ids = append(p.ids, id[:]...)
}

func appendRun(runs []run, r run) []run {
	if len(runs) > 0 {
		last := &runs[len(runs)-1]
		if last.zero && r.zero || !last.zero && !r.zero && last.frame == r.frame && last.slot+last.n == r.slot {
			last.n += r.n
			return runs
		}
	}
	return append(runs, r)
}

// whole saves a file that is not made of pages, a folder or a link.
func (r *reader) whole(ctx context.Context, f *File) (*Saved, error) {
	s := &Saved{Entry: f.Entry}
	if f.Entry.Kind != repo.File {
		return s, nil
	}
	var src io.Reader
	if f.Content != nil {
		data, err := f.Content(ctx)
		if err != nil {
			return nil, err
		}
		src = bytes.NewReader(data)
	} else {
		file, err := os.Open(f.Local)
		if f.MayVanish && errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		defer file.Close()
		src = file
	}
	next, err := r.chunks(f, src)
	if err != nil {
		return nil, err
	}
	var ids []byte
	s.Entry.Size = 0
	for {
		data, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		id, place, err := r.lane.Chunk(data)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id[:]...)
		s.chunks = append(s.chunks, place)
		s.Entry.Size += int64(len(data))
		r.task.Add(int64(len(data)))
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	digest := r.lane.Hasher().Digest(ids)
	s.Entry.Digest = &digest
	return s, nil
}

// chunks returns what cuts a file: each call gives the next chunk, then io.EOF.
func (r *reader) chunks(f *File, src io.Reader) (func() ([]byte, error), error) {
	if f.Cut {
		cutter := r.lane.Cutter()
		return cutter.Next, cutter.Open(src)
	}
	return func() ([]byte, error) {
		n, err := io.ReadFull(src, r.buf)
		if n > 0 && (err == nil || err == io.ErrUnexpectedEOF) {
			return r.buf[:n], nil
		}
		return nil, err
	}, nil
}
