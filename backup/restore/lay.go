package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"practicectl/backup/repo"
	"practicectl/internal/diskspace"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// workers is the number of packs that are fetched, opened and written at once.
const workers = 4

// sink takes the content of frames: onto a disk for a restore, nowhere for a deep verification.
type sink interface {
	open(f *file) (io.WriterAt, func() error, error)
}

// fetch reads every pack that the plan needs, hashes all pages and chunks, and gives them to the sink. In the end every
// file is proved against its signed digest.
func (p *Plan) fetch(ctx context.Context, to sink, task progress.Task) error {
	ids := make([]repo.PackID, 0, len(p.jobs))
	for id := range p.jobs {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b repo.PackID) int { return bytes.Compare(a[:], b[:]) })
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for _, id := range ids {
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return p.fetchPack(ctx, id, to, task)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return p.prove()
}

func (p *Plan) fetchPack(ctx context.Context, id repo.PackID, to sink, task progress.Task) error {
	plain, err := p.pack(ctx, id)
	if err != nil {
		return err
	}
	dec, err := repo.NewDecoder()
	if err != nil {
		return err
	}
	defer dec.Close()
	bad := func(err error) error { return repo.Tampered("open the pack", p.repo.Store, id.Key(), err) }
	r, err := repo.OpenPack(bytes.NewReader(plain), int64(len(plain)), dec)
	if err != nil {
		return bad(err)
	}
	key, err := p.repo.IndexKeyOf(p.Snapshot.Epoch)
	if err != nil {
		return err
	}
	hash := key.Hasher()
	job := *p.jobs[id]
	frames := make([]int64, 0, len(job))
	for n := range job {
		frames = append(frames, n)
	}
	slices.Sort(frames)
	out := lastFile{to: to}
	var content []byte
	for _, n := range frames {
		if content, err = r.Frame(int(n), content); err != nil {
			return errors.Join(bad(err), out.close())
		}
		for _, o := range job[n] {
			if o.off+o.n > int64(len(content)) {
				return errors.Join(bad(fmt.Errorf("%w: frame %d", errRef, n)), out.close())
			}
			data := content[o.off : o.off+o.n]
			o.note(hash, data)
			if err := out.write(o.file, o.at, data); err != nil {
				return errors.Join(err, out.close())
			}
			task.Add(o.n)
		}
	}
	return out.close()
}

// lastFile keeps the file open that was written last: neighbours in a pack mostly belong to the same file.
type lastFile struct {
	to   sink
	file *file
	w    io.WriterAt
	done func() error
}

func (l *lastFile) write(f *file, at int64, data []byte) (err error) {
	if l.file != f {
		if err := l.close(); err != nil {
			return err
		}
		if l.w, l.done, err = l.to.open(f); err != nil {
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
	return writeErrorOrNil(name, l.done())
}

// note remembers the ids of what is written. Each stretch of a file has one op, so no two write to the same place.
func (o op) note(hash *repo.Hasher, data []byte) {
	size := len(repo.ID{})
	if o.kind == repo.ChunkFrame {
		id := hash.Chunk(data)
		copy(o.file.ids[int(o.slot)*size:], id[:])
		return
	}
	for i := 0; i < len(data); i += repo.PageSize {
		id := hash.Page(data[i : i+repo.PageSize])
		copy(o.file.ids[(int(o.slot)+i/repo.PageSize)*size:], id[:])
	}
}

// prove compares every file with the digest that the snapshot's signature covers.
func (p *Plan) prove() error {
	for _, t := range p.trees {
		for _, f := range t.files {
			if f.Digest != nil && p.hash.Digest(f.ids) != *f.Digest {
				return repo.Tampered("prove", p.repo.Store, p.Key, fmt.Errorf("%s/%s is not what was saved", t.name, f.Path))
			}
		}
	}
	return nil
}

func writeError(path string, err error) error {
	if diskspace.IsFull(err) {
		return uerr.New(uerr.NoSpace, "write", path, err, "free some space, or name a folder on another disk with --target; the target was not touched")
	}
	return uerr.New(uerr.Failed, "write", path, err, "")
}
