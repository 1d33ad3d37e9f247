// Package intake reads files, gives their pages and chunks to the writer with all cores busy, and writes down the trees.
package intake

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"practicectl/backup/repo"
	"practicectl/backup/writer"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// File is something to save. Its entry has path, kind, mode and, as far as known, size, time and target of a link.
type File struct {
	Entry     repo.Entry
	Local     string                                    // where it is read
	Content   func(ctx context.Context) ([]byte, error) // instead of Local, for a file that needs care
	MayVanish bool                                      // gone when it is opened: then it is not saved
	Cut       bool                                      // cut where the content says so; else every MiB
	Blocks    *Blocks                                   // how the pages are proved; nil: they are not
}

// Blocks proves the pages of a file.
type Blocks struct {
	First uint32                                  // number of the file's first block
	Check func(page []byte, block uint32) Verdict // of a page that was not stored before
}

// Verdict on a page.
type Verdict int

// The verdicts.
const (
	Sound   Verdict = iota
	Suspect         // wrong checksum, perhaps because it is being written
)

// Saved is a file whose content the writer has.
type Saved struct {
	Entry   repo.Entry
	runs    []run
	chunks  []writer.Place
	Damaged []uint32 // blocks that stayed wrong
}

// run is consecutive pages in one frame, or zero pages.
type run struct {
	frame uint32
	slot  int64
	n     int64
	zero  bool
	at    writer.Place // of the first page
}

// partPages is the number of pages that one lane reads at a time, so that one large file keeps all cores busy.
const partPages = 4096

type part struct {
	file  int
	no    int
	first int64 // page
	n     int64 // pages
}

type partResult struct {
	runs    []run
	ids     []byte
	damaged []uint32
	pages   int64
	gone    bool
}

// Files saves files and returns them in the same order, without those that vanished. The lanes are flushed.
func Files(ctx context.Context, w *writer.Writer, files []File, task progress.Task) ([]Saved, error) {
	saved := make([]*Saved, len(files))
	parts := make([][]partResult, len(files))
	var jobs []part
	for i, f := range files {
		n := 1
		if f.Entry.Kind == repo.Pages {
			pages := f.Entry.Size / repo.PageSize
			n = int(max(1, (pages+partPages-1)/partPages))
			for k := range n {
				first := int64(k) * partPages
				jobs = append(jobs, part{file: i, no: k, first: first, n: min(partPages, pages-first)})
			}
		} else {
			jobs = append(jobs, part{file: i})
		}
		parts[i] = make([]partResult, n)
	}
	var mu sync.Mutex
	next := 0
	take := func() (part, bool) {
		mu.Lock()
		defer mu.Unlock()
		if next == len(jobs) {
			return part{}, false
		}
		next++
		return jobs[next-1], true
	}
	g, ctx := errgroup.WithContext(ctx)
	for range max(2, runtime.GOMAXPROCS(0)) {
		g.Go(func() error {
			r, err := newReader(w, task)
			if err != nil {
				return err
			}
			for j, ok := take(); ok; j, ok = take() {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				f := &files[j.file]
				if f.Entry.Kind == repo.Pages {
					parts[j.file][j.no], err = r.pages(ctx, f, j)
				} else {
					saved[j.file], err = r.whole(ctx, f)
				}
				if err != nil {
					return readError(f, err)
				}
			}
			return r.lane.Flush()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	hash := w.Hasher()
	out := make([]Saved, 0, len(files))
	for i := range files {
		if files[i].Entry.Kind == repo.Pages {
			saved[i] = join(hash, files[i].Entry, parts[i])
		}
		if saved[i] != nil {
			out = append(out, *saved[i])
		}
	}
	return out, nil
}

// join puts the parts of a file of pages together. A part that came up short is where the file ended when it was read:
// what follows was cut off by PostgreSQL meanwhile, and replay of the log knows about it.
func join(hash *repo.Hasher, e repo.Entry, parts []partResult) *Saved {
	if parts[0].gone {
		return nil
	}
	s := &Saved{Entry: e}
	var ids []byte
	for _, p := range parts {
		for _, r := range p.runs {
			s.runs = appendRun(s.runs, r)
		}
		ids = append(ids, p.ids...)
		s.Damaged = append(s.Damaged, p.damaged...)
		if p.pages < partPages {
			break
		}
	}
	s.Entry.Size = int64(len(ids)/len(repo.ID{})) * repo.PageSize
	digest := hash.Digest(ids)
	s.Entry.Digest = &digest
	return s
}

func readError(f *File, err error) error {
	var known *uerr.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	hint := ""
	if errors.Is(err, fs.ErrPermission) {
		hint = "run the command as the account that owns these files"
	}
	return uerr.New(uerr.Failed, "read", f.Entry.Path, err, hint)
}
