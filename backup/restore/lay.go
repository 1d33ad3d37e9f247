package restore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"practicectl/backup/repo"
	"practicectl/internal/diskspace"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// sink takes the content of files: onto a disk for a restore, nowhere for a deep verification.
type sink interface {
	open(f *file) (output, error)
}

// output is an open file of a sink.
type output interface {
	io.WriterAt
	io.Closer
}

// fetch reads what the wanted files need, gives it to the sink, and proves every file against the digest that the signature covers. What
// does not prove itself is read once more, comparing packs with their names: that finds an older version of an object that
// somebody replaced, or tells which one it was.
func (p *Plan) fetch(ctx context.Context, to sink, task progress.Task, wanted func(*file) bool) error {
	newTaker := func() taker {
		return &layer{p: p, wanted: wanted, hash: p.hashers(), out: lastFile{to: to}, task: task}
	}
	if err := p.read(ctx, p.needs(wanted), false, newTaker); err != nil {
		return err
	}
	if err := p.writeZeros(to, wanted); err != nil {
		return err
	}
	bad := p.unproved(wanted)
	if len(bad) == 0 {
		return nil
	}
	if err := p.read(ctx, p.needs(func(f *file) bool { return bad[f] }), true, newTaker); err != nil {
		return err
	}
	for f := range p.unproved(wanted) {
		return repo.Tampered("prove", p.repo.Store, p.Key, fmt.Errorf("%s is not what was saved", f.path))
	}
	return nil
}

// unproved are the files that are not what the snapshot's signature covers.
func (p *Plan) unproved(wanted func(*file) bool) map[*file]bool {
	bad := map[*file]bool{}
	for _, t := range p.trees {
		for _, f := range t.files {
			if f.Digest != nil && !f.same && wanted(f) && p.hash.Digest(f.ids) != *f.Digest {
				bad[f] = true
			}
		}
	}
	return bad
}

// layer writes frames into files. It holds back what it wrote last until something comes that does not continue it.
type layer struct {
	p      *Plan
	wanted func(*file) bool
	hash   *repo.Hasher
	out    lastFile
	task   progress.Task
	held   []byte
	file   *file
	at     int64 // in the file, of what is held
}

func (l *layer) take(pack repo.PackID, frame int, content []byte) error {
	job := l.p.jobs[pack]
	if job == nil {
		return nil
	}
	for _, o := range job.of(frame) {
		if !l.wanted(o.file) {
			continue
		}
		if int(o.off)+int(o.n) > len(content) {
			return repo.Tampered("open the pack", l.p.repo.Store, pack.Key(), fmt.Errorf("%w: frame %d", errRef, frame))
		}
		data := content[o.off : o.off+o.n]
		o.note(l.hash, data)
		if l.p.checksPages(o.file) {
			l.p.suspects.check(o, data)
		}
		if err := l.write(o.file, o.at, data); err != nil {
			return err
		}
		l.task.Add(int64(o.n))
	}
	return nil
}

// write holds data back when it continues what is held, in the file and in memory.
func (l *layer) write(f *file, at int64, data []byte) error {
	n := len(l.held)
	if n > 0 && len(data) > 0 && f == l.file && at == l.at+int64(n) && cap(l.held) > n && &l.held[:n+1][n] == &data[0] {
		l.held = l.held[:n+len(data)]
		return nil
	}
	if err := l.put(); err != nil {
		return err
	}
	l.file, l.at, l.held = f, at, data
	return nil
}

func (l *layer) put() error {
	if len(l.held) == 0 {
		return nil
	}
	err := l.out.write(l.file, l.at, l.held)
	l.held = nil
	return err
}

func (l *layer) flush() error {
	return errors.Join(l.put(), l.out.close())
}

// lastFile keeps the file open that was written last: neighbours in a pack mostly belong to the same file.
type lastFile struct {
	to   sink
	file *file
	w    output
}

func (l *lastFile) write(f *file, at int64, data []byte) (err error) {
	if l.file != f {
		if err := l.close(); err != nil {
			return err
		}
		if l.w, err = l.to.open(f); err != nil {
			return err
		}
		l.file = f
	}
	if _, err := l.w.WriteAt(data, at); err != nil {
		return writeError(f.path, err)
	}
	return nil
}

func (l *lastFile) close() error {
	if l.file == nil {
		return nil
	}
	name := l.file.path
	l.file = nil
	return writeErrorOrNil(name, l.w.Close())
}

// note remembers the ids of what is written. Each stretch of a file has one op, so no two write to the same place.
func (o op) note(hash *repo.Hasher, data []byte) {
	ids := o.file.ids[int(o.slot)*len(repo.ID{}):]
	if o.kind == repo.ChunkFrame {
		id := hash.Chunk(data)
		copy(ids, id[:])
		return
	}
	notePages(hash, ids, data)
}

// notePages writes the ids of pages, of which those of zeros are zero.
func notePages(hash *repo.Hasher, ids, data []byte) {
	for i := 0; i < len(data); i += repo.PageSize {
		page := data[i : i+repo.PageSize]
		var id repo.ID
		if !isZero(page) {
			id = hash.Page(page)
		}
		copy(ids[i/repo.PageSize*len(id):], id[:])
	}
}

// writeZeros writes pages of zeros where something else was.
func (p *Plan) writeZeros(to sink, wanted func(*file) bool) error {
	out := lastFile{to: to}
	none := make([]byte, repo.MaxFrame)
	for _, o := range p.zeros {
		if !wanted(o.file) {
			continue
		}
		if err := out.write(o.file, o.at, none[:o.n]); err != nil {
			return errors.Join(err, out.close())
		}
		clear(o.file.ids[int(o.slot)*len(repo.ID{}):][:o.ids()*len(repo.ID{})])
	}
	return out.close()
}

func writeError(path string, err error) error {
	var known *uerr.Error
	switch {
	case errors.As(err, &known):
		return err
	case diskspace.IsFull(err):
		return uerr.New(uerr.NoSpace, "write", path, err, "free some space, or name a folder on another disk with --target; the target was not touched")
	}
	return uerr.New(uerr.Failed, "write", path, err, "")
}

func writeErrorOrNil(path string, err error) error {
	if err == nil {
		return nil
	}
	return writeError(path, err)
}
