package intake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"practicectl/backup/pagemap"
	"practicectl/backup/repo"
)

// section is a stretch of a file of pages that was saved.
type section struct {
	at      pagemap.Section
	kept    bool // every page is what it was
	gone    bool // the whole file is
	damaged []repo.Damage
	ids     map[int]repo.ID // of damaged pages as they are, which the page map does not know
}

var zeroPage [repo.PageSize]byte

// readPages is the number of pages read at once: they stay in the processor's cache while they are looked at.
const readPages = 32

// stretch is a section while it is read.
type stretch struct {
	*part
	f      *File
	src    *os.File
	prior  *pagemap.Section // nil: nothing is known of it
	places *pagemap.Places
	track  *Track // nil: all pages are read
	move   []bool // pages that lie in a retired pack and have to be stored anew; nil: none
	audit  bool   // all pages are read, to find those that changed and should not have
	out    section
	same   bool
}

// section saves a stretch of pages. It stops quietly where the file ends.
func (r *reader) section(ctx context.Context, f *File, p *part) (section, error) {
	s := &stretch{part: p, f: f, same: true}
	if p.prior != nil && r.in.w.Stored(p.prior.Packs) {
		s.prior, s.track = p.prior, f.Track
		s.audit = s.track != nil && r.in.o.Audit[p.prior]
	}
	if s.track != nil && !s.audit && !r.in.w.AnyRetired(s.prior.Packs) && int64(s.prior.Pages) == p.n && !s.track.Any(p.first, p.n) && len(r.in.o.Damaged[f.Entry.Path]) == 0 {
		at, err := r.in.o.Next.Copy(r.in.o.Prior, *s.prior)
		if err == nil {
			r.task.Add(p.n * repo.PageSize)
			return section{at: at, kept: true}, nil
		}
		if !errors.Is(err, pagemap.ErrDamaged) {
			return section{}, err
		}
		r.in.forget(s, err)
	}
	if s.prior != nil {
		if err := r.in.o.Prior.Rows(s.prior, &r.old); err != nil {
			r.in.forget(s, err)
		}
	}
	if s.prior != nil {
		r.retire(s)
	}
	s.places = pagemap.NewPlaces(r.old.Runs)
	r.rows.Reset()
	if err := r.read(ctx, s); err != nil || s.out.gone {
		return s.out, err
	}
	if s.same = s.same && s.prior != nil && r.rows.Len() == int(s.prior.Pages); s.same {
		r.rows.Runs = append(r.rows.Runs[:0], r.old.Runs...)
	}
	at, err := r.in.o.Next.Add(&r.rows)
	at.Read = r.in.o.Run
	if s.prior != nil {
		if s.track != nil && !s.audit {
			at.Read = s.prior.Read
		}
		if s.same {
			at.Packs, at.Stored = s.prior.Packs, s.prior.Stored
		}
	}
	s.out.at, s.out.kept = at, s.same && len(s.out.ids) == 0
	if s.out.kept && at.Stored != nil && r.in.w.RetiredFrame(at.Stored.Frame) {
		s.out.kept = false // its stored page map has to move
	}
	return s.out, err
}

// retire finds the pages of a section that lie in retired packs.
func (r *reader) retire(s *stretch) {
	if !r.in.w.AnyRetired(s.prior.Packs) {
		return
	}
	s.move = make([]bool, 0, s.prior.Pages)
	for _, run := range r.old.Runs {
		retired := run.Frame != pagemap.ZeroFrame && r.in.w.RetiredFrame(run.Frame)
		for range run.Count {
			s.move = append(s.move, retired)
		}
	}
}

// moves tells whether a page lies in a retired pack.
func (s *stretch) moves(i int64) bool { return i < int64(len(s.move)) && s.move[i] }

// forget goes on without what is known of a section: all of it is read.
func (in *Intake) forget(s *stretch, err error) {
	in.o.Warn("%s: %v; these pages are read anew", s.f.Entry.Path, err)
	s.prior, s.track, s.move, s.audit = nil, nil, nil, false
}

func (r *reader) read(ctx context.Context, s *stretch) (err error) {
	s.src, err = os.Open(s.f.Local)
	if s.f.MayVanish && errors.Is(err, fs.ErrNotExist) {
		r.task.Add(s.n * repo.PageSize)
		s.out.gone = true
		return nil
	}
	if err != nil {
		return err
	}
	defer s.src.Close()
	for i := int64(0); i < s.n; {
		if !r.needed(s, i) {
			r.keep(s, int(i))
			r.task.Add(repo.PageSize)
			i++
			continue
		}
		want := int64(1)
		for want < readPages && i+want < s.n && r.needed(s, i+want) {
			want++
		}
		n, err := s.src.ReadAt(r.buf[:want*repo.PageSize], (s.first+i)*repo.PageSize)
		if err != nil && err != io.EOF {
			return err
		}
		whole := int64(n / repo.PageSize)
		r.in.read.Add(whole)
		for k := range whole {
			if err := r.page(ctx, s, i+k, r.buf[k*repo.PageSize:(k+1)*repo.PageSize]); err != nil {
				return err
			}
		}
		r.task.Add(want * repo.PageSize)
		if whole < want {
			r.task.Add((s.n - i - want) * repo.PageSize)
			return nil
		}
		i += whole
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// needed tells whether a page has to be read.
func (r *reader) needed(s *stretch, i int64) bool { return s.audit || s.moves(i) || r.listed(s, i) }

// listed tells whether a page may have changed.
func (r *reader) listed(s *stretch, i int64) bool {
	if s.track == nil || i >= int64(s.prior.Pages) || s.track.Has(s.first+i) {
		return true
	}
	_, damaged := r.damage(s, i)
	return damaged
}

// damage is what the snapshot before says of a page that was damaged.
func (r *reader) damage(s *stretch, i int64) (repo.Damage, bool) {
	blocks := r.in.o.Damaged[s.f.Entry.Path]
	if len(blocks) == 0 || s.f.Blocks == nil {
		return repo.Damage{}, false
	}
	d, ok := blocks[s.block(i)]
	return d, ok
}

func (s *stretch) block(i int64) uint32 { return s.f.Blocks.First + uint32(s.first+i) }

// keep takes over page i as the snapshot before has it.
func (r *reader) keep(s *stretch, i int) { r.rows.Add(r.old.At(i), s.places.Next(i)) }

func (r *reader) knows(s *stretch, i int64) bool { return s.prior != nil && i < int64(s.prior.Pages) }

// page saves one page that was read. Only a page that is not stored already is proved: what is stored was proved when it came.
func (r *reader) page(ctx context.Context, s *stretch, i int64, page []byte) error {
	zero := bytes.Equal(page, zeroPage[:])
	var before pagemap.Row
	known := r.knows(s, i)
	if known {
		before = r.old.At(int(i))
	}
	var trace repo.Trace
	if !zero {
		trace = r.trace.Page(page)
	}
	listed := r.listed(s, i)
	if !listed && s.audit {
		r.in.audited.Add(1)
	}
	moves := s.moves(i)
	unchanged := known && trace == before.Trace && zero == (before.ID == repo.ID{})
	if unchanged && !moves {
		r.keep(s, int(i))
		return nil
	}
	if !zero && s.f.Blocks != nil && !listed && s.f.Blocks.Check(page, s.block(i)) != Sound {
		return r.suspect(ctx, s, i, page)
	}
	if !listed && !unchanged {
		explained, stale := s.track.Explained(before.Trace, before.ID == repo.ID{}, page, s.track.First+uint32(s.first+i))
		if stale && !moves {
			r.keep(s, int(i))
			return nil
		}
		if !explained {
			r.in.o.Hole(s.f.Entry.Path, s.track.First+uint32(s.first+i))
		}
	}
	if zero {
		r.add(s, pagemap.Row{}, pagemap.Run{Frame: pagemap.ZeroFrame, Count: 1})
		return nil
	}
	id, place, stored := r.lane.FindPage(page)
	if !stored {
		if s.f.Blocks != nil && s.f.Blocks.Check(page, s.block(i)) != Sound {
			return r.suspect(ctx, s, i, page)
		}
		var err error
		if place, err = r.lane.Page(id, page); err != nil {
			return err
		}
	}
	if unchanged {
		s.same = false
		r.in.moved.Add(1)
		r.rows.Add(pagemap.Row{ID: id, Trace: trace}, place.Run())
		return nil
	}
	r.add(s, pagemap.Row{ID: id, Trace: trace}, place.Run())
	return nil
}

// add notes a page that is not what it was.
func (r *reader) add(s *stretch, row pagemap.Row, run pagemap.Run) {
	s.same = false
	r.in.changed.Add(1)
	r.rows.Add(row, run)
}

// rereads are the pauses before a suspect page is read again.
var rereads = [...]time.Duration{0, time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond}

// suspect reads a page again until it is sound. A page that changes between two readings is being written just now: the
// log holds a full image of it, so any of its states will do. One that stays wrong is damaged.
func (r *reader) suspect(ctx context.Context, s *stretch, i int64, page []byte) error {
	again := make([]byte, repo.PageSize)
	changed := false
	for _, pause := range rereads {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		n, err := s.src.ReadAt(again, (s.first+i)*repo.PageSize)
		if n < repo.PageSize {
			if err != nil && err != io.EOF {
				return err
			}
			break // cut off meanwhile: any state will do
		}
		if changed = !bytes.Equal(again, page); changed {
			copy(page, again)
		}
		if bytes.Equal(page, zeroPage[:]) || s.f.Blocks.Check(page, s.block(i)) == Sound {
			return r.page(ctx, s, i, page)
		}
		if changed {
			break
		}
	}
	if !changed {
		return r.damagedPage(s, i, page)
	}
	return r.asItIs(s, i, page) // the next run reads it, and finds it whole
}

// damagedPage puts the last good copy of a page in the place of the damaged one, as far as there is one. Else the page is
// stored as it is, under an id by which no later run takes it for known: it is looked at, and reported, each time.
func (r *reader) damagedPage(s *stretch, i int64, page []byte) error {
	before, wasDamaged := r.damage(s, i)
	d := repo.Damage{Path: s.f.Entry.Path, Block: s.block(i), Copy: repo.NoCopy}
	if r.in.o.Pin && r.knows(s, i) && !(wasDamaged && before.Copy == repo.NoCopy) {
		d.Copy = repo.OlderCopy
		if s.track != nil && !(i >= int64(s.prior.Pages) || s.track.Has(s.first+i)) && !(wasDamaged && before.Copy == repo.OlderCopy) {
			d.Copy = repo.SameCopy
		}
		s.out.damaged = append(s.out.damaged, d)
		r.keep(s, int(i))
		return nil
	}
	s.out.damaged = append(s.out.damaged, d)
	return r.asItIs(s, i, page)
}

// asItIs stores a page under an id that it never has again.
func (r *reader) asItIs(s *stretch, i int64, page []byte) error {
	id, place, err := r.lane.Unlisted(page)
	if s.out.ids == nil {
		s.out.ids = map[int]repo.ID{}
	}
	s.out.ids[int(i)] = r.lane.Hasher().Page(page)
	r.add(s, pagemap.Row{ID: id}, place.Run())
	return err
}
