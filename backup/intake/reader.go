package intake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"practicectl/backup/pagemap"
	"practicectl/backup/repo"
	"practicectl/backup/writer"
	"practicectl/internal/progress"
)

// reader is one goroutine's part of the reading.
type reader struct {
	in        *Intake
	lane      *writer.Lane
	trace     *repo.Tracer
	task      progress.Task
	buf       []byte
	old, rows pagemap.Rows // of the section that is read, before and now
}

func newReader(in *Intake, task progress.Task) (*reader, error) {
	lane, err := in.w.Lane(writer.Data)
	return &reader{in: in, lane: lane, trace: in.w.Tracer(), task: task, buf: make([]byte, repo.MaxFrame)}, err
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
