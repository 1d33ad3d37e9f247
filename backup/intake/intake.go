// Package intake reads files, gives what is new of them to the writer with all cores busy, and writes down the trees.
//
// Pages are compared with those of the snapshot before by their position. Of a file with a track only the pages are read that
// may have changed, and those whose turn it is to be audited.
package intake

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"practicectl/backup/pagemap"
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
	Track     *Track                                    // which pages may have changed; nil: any
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

// Options of a run.
type Options struct {
	Prior   *pagemap.Map                      // of the snapshot before; nil: none
	Next    *pagemap.Builder                  // takes the page map of this one
	Run     uint32                            // number of this run
	Audit   map[*pagemap.Section]bool         // sections of Prior that are read although nothing in them seems to have changed
	Damaged map[string]map[uint32]repo.Damage // pages that were damaged in the snapshot before, by path and block
	Pin     bool                              // Prior is of the same cluster: its pages may stand in for damaged ones
	Hole    func(path string, block uint32)   // told of a page that changed without a trace in the log; from any goroutine
	Warn    func(format string, args ...any)  // told of what was put right
}

// Counts says what was done with pages.
type Counts struct {
	Total   int64 `json:"total"`   // pages of the snapshot
	Read    int64 `json:"read"`    // pages read from the disk
	Changed int64 `json:"changed"` // pages that are not what the snapshot before holds at their place
	Audited int64 `json:"audited"` // pages read only to see that they did not change
	Moved   int64 `json:"moved"`   // pages that did not change and lay in a retired pack
}

// Intake is the reading of one run.
type Intake struct {
	w                                    *writer.Writer
	o                                    Options
	total, read, changed, audited, moved atomic.Int64
}

// New begins the reading of a run.
func New(w *writer.Writer, o Options) *Intake { return &Intake{w: w, o: o} }

// Counts is what was done so far.
func (in *Intake) Counts() Counts {
	return Counts{in.total.Load(), in.read.Load(), in.changed.Load(), in.audited.Load(), in.moved.Load()}
}

// Saved is a file whose content the writer has.
type Saved struct {
	Entry    repo.Entry
	Damaged  []repo.Damage // pages that stayed wrong
	name     string        // in the page map
	sections []section
	chunks   []writer.Place
}

// part is a stretch of a file that one lane reads: a section of pages, or a whole file of another kind.
type part struct {
	file  int
	no    int
	first int64 // page
	n     int64 // pages
	prior *pagemap.Section
}

// Files saves the files of a tree and returns them in the same order, without those that vanished. The lanes are flushed.
func (in *Intake) Files(ctx context.Context, tree string, files []File, task progress.Task) ([]Saved, error) {
	saved := make([]*Saved, len(files))
	sections := make([][]section, len(files))
	var parts []part
	for i := range files {
		parts = append(parts, in.divide(tree, i, &files[i])...)
	}
	for _, p := range parts {
		sections[p.file] = append(sections[p.file], section{})
	}
	// Large parts first: small ones fill the time at the end, when the other lanes are done.
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(b.n, a.n) })
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range max(2, runtime.GOMAXPROCS(0)) {
		g.Go(func() error {
			r, err := newReader(in, task)
			if err != nil {
				return err
			}
			for at := next.Add(1) - 1; at < int64(len(parts)); at = next.Add(1) - 1 {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				p := &parts[at]
				f := &files[p.file]
				if f.Entry.Kind == repo.Pages {
					sections[p.file][p.no], err = r.section(ctx, f, p)
				} else {
					saved[p.file], err = r.whole(ctx, f)
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
	out := make([]Saved, 0, len(files))
	for i := range files {
		if files[i].Entry.Kind == repo.Pages {
			saved[i] = join(&files[i], pageName(tree, files[i].Entry.Path), sections[i])
		}
		if saved[i] != nil {
			out = append(out, *saved[i])
			in.total.Add(saved[i].pages())
		}
	}
	return out, nil
}

// pageName is what a file is called in the page map.
func pageName(tree, path string) string { return tree + "/" + path }

// divide says how a file is read.
func (in *Intake) divide(tree string, i int, f *File) []part {
	if f.Entry.Kind != repo.Pages {
		return []part{{file: i}}
	}
	known := in.known(pageName(tree, f.Entry.Path))
	var out []part
	for first, pages := int64(0), f.Entry.Size/repo.PageSize; first == 0 || first < pages; first += pagemap.SectionPages {
		p := part{file: i, no: len(out), first: first, n: min(pagemap.SectionPages, pages-first)}
		if known != nil && p.no < len(known.Sections) {
			p.prior = &known.Sections[p.no]
		}
		out = append(out, p)
	}
	return out
}

// known is what the snapshot before holds of a file; nil: nothing.
func (in *Intake) known(name string) *pagemap.File {
	if in.o.Prior == nil {
		return nil
	}
	return in.o.Prior.File(name)
}

// join puts the sections of a file together. A section that came up short is where the file ended when it was read: what
// follows was cut off by PostgreSQL meanwhile, and replay of the log knows about it.
func join(f *File, name string, sections []section) *Saved {
	if sections[0].gone {
		return nil
	}
	s := &Saved{Entry: f.Entry, name: name}
	for i := range sections {
		s.sections = append(s.sections, sections[i])
		s.Damaged = append(s.Damaged, sections[i].damaged...)
		if sections[i].at.Pages < pagemap.SectionPages {
			break
		}
	}
	s.Entry.Size = s.pages() * repo.PageSize
	return s
}

func (s *Saved) pages() (n int64) {
	for i := range s.sections {
		n += int64(s.sections[i].at.Pages)
	}
	return n
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
