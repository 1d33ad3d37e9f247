package restore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"practicectl/backup/repo"
	"practicectl/internal/progress"
)

// surveyBytes is what one goroutine looks at between two looks for other work.
const surveyBytes = 16 << 20

// survey hashes what the target has already and drops from the plan what is as it should be. What is only partly so is compared
// page by page when the index tells the ids of single pages; without the index the whole file is fetched.
func (p *Plan) survey(ctx context.Context, root *os.Root, task progress.Task) error {
	type part struct {
		f       *file
		from, n int64 // ids
	}
	var parts []part
	folders := map[string]bool{".": true}
	for _, t := range p.trees {
		for _, f := range t.files {
			f.there, f.same = -1, false
			clear(f.ids)
			if !p.replaced(f) && isFolder(root, filepath.Dir(f.path), folders) {
				if err := f.look(root); err != nil {
					return err
				}
			}
			each := int64(surveyBytes / repo.PageSize)
			if f.Kind == repo.File {
				each = surveyBytes / repo.MaxFrame
			}
			have := int64(len(f.ids) / len(repo.ID{}))
			if f.Kind == repo.Pages {
				have = min(have, f.there/repo.PageSize)
			}
			for from := int64(0); f.there >= 0 && from < have; from += each {
				parts = append(parts, part{f, from, min(each, have-from)})
			}
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	queue := make(chan part)
	g.Go(func() error {
		defer close(queue)
		for _, q := range parts {
			select {
			case queue <- q:
			case <-gctx.Done():
				return context.Cause(gctx)
			}
		}
		return nil
	})
	for range max(2, runtime.GOMAXPROCS(0)) {
		g.Go(func() error {
			s := surveyor{hash: p.hashers(), buf: make([]byte, repo.MaxFrame)}
			for q := range queue {
				n, err := s.hashPart(root, q.f, q.from, q.n)
				if err != nil {
					return err
				}
				task.Add(n)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return p.compare(ctx)
}

// isFolder tells whether a path below root is a folder and not reached through any link: what lies behind a link is none of ours,
// and the link will be put aside. known keeps the answers.
func isFolder(root *os.Root, rel string, known map[string]bool) bool {
	is, ok := known[rel]
	if !ok {
		if isFolder(root, filepath.Dir(rel), known) {
			st, err := root.Lstat(rel)
			is = err == nil && st.IsDir()
		}
		known[rel] = is
	}
	return is
}

// look finds out what the target has of the file.
func (f *file) look(root *os.Root) error {
	st, err := root.Lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return writeError(f.path, err)
	}
	if st.Mode().IsRegular() && (f.Kind == repo.Pages || f.Kind == repo.File) {
		f.there = st.Size()
	}
	return nil
}

type surveyor struct {
	hash *repo.Hasher
	buf  []byte
}

// hashPart notes n ids of what the target has of the file, from an id on. It returns the bytes read.
func (s *surveyor) hashPart(root *os.Root, f *file, from, n int64) (int64, error) {
	in, err := root.Open(f.path)
	if err != nil {
		return 0, writeError(f.path, err)
	}
	var done int64
	if f.Kind == repo.Pages {
		done, err = s.hashPages(in, f, from, n)
	} else {
		done, err = s.hashChunks(in, f, from, n)
	}
	if err = errors.Join(err, in.Close()); err != nil {
		return done, writeError(f.path, err)
	}
	return done, nil
}

func (s *surveyor) hashPages(in io.ReaderAt, f *file, from, n int64) (int64, error) {
	done := int64(0)
	for done < n {
		data := s.buf[:min(n-done, repo.MaxFramePages)*repo.PageSize]
		if m, err := in.ReadAt(data, (from+done)*repo.PageSize); m < len(data) {
			return done * repo.PageSize, errors.Join(err, io.ErrUnexpectedEOF)
		}
		notePages(s.hash, f.ids[(from+done)*int64(len(repo.ID{})):], data)
		done += int64(len(data) / repo.PageSize)
	}
	return done * repo.PageSize, nil
}

func (s *surveyor) hashChunks(in io.ReaderAt, f *file, from, n int64) (int64, error) {
	at := int64(0)
	for _, c := range f.Chunks[:from] {
		at += c[3]
	}
	begin := at
	for i := from; i < from+n; i++ {
		size := f.Chunks[i][3]
		if at+size > f.there {
			break
		}
		data := s.buf[:size]
		if m, err := in.ReadAt(data, at); int64(m) < size {
			return at - begin, err
		}
		id := s.hash.Chunk(data)
		copy(f.ids[i*int64(len(id)):], id[:])
		at += size
	}
	return at - begin, nil
}

// compare drops from the plan what the survey found to be there.
func (p *Plan) compare(ctx context.Context) error {
	partly := map[*file]bool{}
	for _, t := range p.trees {
		for _, f := range t.files {
			if f.Digest == nil || f.there < 0 {
				continue
			}
			f.same = f.there == f.Size && p.hash.Digest(f.ids) == *f.Digest
			if !f.same && f.Size > repo.PageFrameSize && !isZero(f.ids) {
				partly[f] = true
			}
		}
	}
	want := map[*file][]byte{}
	if len(partly) > 0 {
		var err error
		if want, err = p.wantedIDs(ctx, partly); err != nil {
			return err
		}
	}
	for id, job := range p.jobs {
		var left packJob
		for _, o := range *job {
			if !o.file.same {
				left = append(left, o.differing(want[o.file])...)
			}
		}
		if len(left) == 0 {
			delete(p.jobs, id)
			continue
		}
		*job = left
	}
	p.zeros = nil
	for _, t := range p.trees {
		for _, f := range t.files {
			for _, z := range f.zeros {
				if f.there >= 0 && !f.same {
					p.zeros = append(p.zeros, f.nonzero(z)...)
				}
			}
		}
	}
	p.count()
	return nil
}

// differing is the parts of an op whose ids are not the wanted ones; all of it when these are not known.
func (o op) differing(want []byte) []op {
	const size = len(repo.ID{})
	if want == nil {
		return []op{o}
	}
	var out []op
	each := int(o.n) / o.ids()
	for i := range o.ids() {
		at := (int(o.slot) + i) * size
		if bytes.Equal(o.file.ids[at:at+size], want[at:at+size]) {
			continue
		}
		if last := len(out) - 1; last >= 0 && int(out[last].slot)+out[last].ids() == int(o.slot)+i {
			out[last].n += int32(each)
			continue
		}
		part := o
		part.off, part.n = o.off+int32(i*each), int32(each)
		part.at, part.slot = o.at+int64(i*each), o.slot+int32(i)
		out = append(out, part)
	}
	return out
}

// nonzero is the stretches of zero pages in which the target has something else.
func (f *file) nonzero(z stretch) []op {
	const size = int64(len(repo.ID{}))
	var out []op
	for no := z.first; no < z.first+z.n; no++ {
		if isZero(f.ids[no*size : (no+1)*size]) {
			continue
		}
		if last := len(out) - 1; last >= 0 && int64(out[last].slot)+int64(out[last].ids()) == no && out[last].n < repo.MaxFrame {
			out[last].n += repo.PageSize
			continue
		}
		out = append(out, op{file: f, at: no * repo.PageSize, n: repo.PageSize, slot: int32(no), kind: repo.PageFrame})
	}
	return out
}

// isZero tells whether all bytes are zero.
func isZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.NativeEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}
