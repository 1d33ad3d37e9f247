package stream

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"practicectl/backup/repo"
	"practicectl/backup/wal"
	"practicectl/internal/diskspace"
	"practicectl/internal/objstore"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

// ship stores one parcel after the other until ctx ends. Log that cannot be stored now is tried again for as long as it takes;
// only another cluster's log in its place, and new keys of the repository, end the run.
func (s *streamer) ship(ctx context.Context) {
	pause := time.Second
	for {
		p, err := s.next(ctx)
		if err == nil && p == nil {
			return
		}
		if err == nil {
			err = s.send(ctx, p)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			pause = time.Second
			continue
		case uerr.KindOf(err) == uerr.Fenced, errors.Is(err, repo.ErrNewSettings):
			s.trouble(err)
			s.finish(err)
			return
		}
		s.trouble(err)
		select {
		case <-ctx.Done():
		case <-s.o.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

// next waits for something to store, and cuts it off when it is due. It returns nil when ctx ends.
func (s *streamer) next(ctx context.Context) (*parcel, error) {
	for {
		s.mu.Lock()
		if len(s.queue) > 0 {
			p := s.queue[0]
			u := p.unit
			s.mu.Unlock()
			return p, s.look(ctx, u)
		}
		u, wait := s.unit, s.due()
		s.mu.Unlock()
		if wait == 0 {
			if err := s.look(ctx, u); err != nil {
				return nil, err
			}
			s.cut(u)
			continue
		}
		var timer <-chan time.Time
		if wait > 0 {
			timer = s.o.After(wait)
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-s.wake:
		case <-timer:
		}
	}
}

// due is how long the log of the unit that grows may wait; negative: there is none. mu is held.
func (s *streamer) due() time.Duration {
	switch n := s.uncut(); {
	case n == 0:
		return -1
	case s.stopping || n >= int64(s.o.Piece):
		return 0
	}
	return max(0, cutAfter-s.o.Now().Sub(s.unit.first))
}

func (s *streamer) uncut() int64 {
	if s.unit == nil {
		return 0
	}
	return s.unit.uncut()
}

// cut makes a parcel of what came in, unless the unit was completed, and so handed over, meanwhile.
func (s *streamer) cut(u *unit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unit == u && len(s.queue) == 0 && u.uncut() > 0 {
		s.queue = append(s.queue, u.slice(s.o.Now()))
	}
}

// look asks the store what it has of a unit: before the first piece of it is stored, and then every minute while it grows.
// What is stored must be the same log. Error kind: Fenced.
func (s *streamer) look(ctx context.Context, u *unit) error {
	if u == nil {
		return nil
	}
	if now := s.o.Now(); u.looked.IsZero() || now.Sub(u.looked) >= lookEvery {
		found, err := wal.LookWithin(ctx, s.store, u.Stretch)
		if err != nil {
			return err
		}
		if err := s.ahead(ctx, u, found); err != nil {
			return err
		}
		s.mu.Lock()
		u.looked, u.others = now, found
		s.mu.Unlock()
	}
	return s.compare(u)
}

// compare compares with what is stored, as far as its bytes have come in, and hands over nothing twice.
func (s *streamer) compare(u *unit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var later []wal.Found
	for _, f := range u.others {
		switch {
		case f.End > u.filled():
			later = append(later, f)
		case !s.mark.Fits(u.bytes(f.Start, f.End), f.Mark):
			return wal.Forked("store the log in", s.store, f.Key)
		case s.unit == u && f.Start <= u.cut && f.End > u.cut:
			u.cut = f.End
		}
	}
	u.others = later
	if u.uncut() == 0 {
		u.first = time.Time{}
	}
	return nil
}

// ahead refuses a server that ends before the log which the repository has of it.
func (s *streamer) ahead(ctx context.Context, u *unit, found []wal.Found) error {
	end := u.Start
	for _, f := range found {
		end = max(end, f.End)
	}
	s.mu.Lock()
	suspect := end > max(u.filled(), s.st.ServerEnd)
	s.mu.Unlock()
	if !suspect {
		return nil
	}
	sys, err := pgcluster.IdentifySystem(ctx, s.o.ConnString) // what was heard last may be old
	if err != nil || sys.Timeline != u.Timeline {
		return err
	}
	_, _, err = s.follow(position{u.Timeline, end}, sys, history{})
	return err
}

// send stores a parcel, sealed to the recipients of today.
func (s *streamer) send(ctx context.Context, p *parcel) error {
	if err := s.repo.CheckCurrent(ctx); err != nil {
		return err
	}
	key, data, err := s.content(p)
	if err != nil {
		return err
	}
	if err := repo.Create(ctx, s.store, key, data); err != nil && !errors.Is(err, objstore.ErrExists) {
		return repo.StoreError("store the log in", s.store, key, err)
	}
	return s.sent(p)
}

// content is what is stored: from the spool, or sealed now.
func (s *streamer) content(p *parcel) (key string, data []byte, err error) {
	s.mu.Lock()
	file, plain := p.file, p.plain
	s.mu.Unlock()
	if plain == nil {
		if data, err = os.ReadFile(file); err != nil {
			return "", nil, s.spool.failed("read the spool", file, err)
		}
		return p.key, data, nil
	}
	return p.pack(plain, s.repo, s.mark)
}

// sent notes that the store has a parcel, before the spool forgets it.
func (s *streamer) sent(p *parcel) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = slices.DeleteFunc(s.queue, func(q *parcel) bool { return q == p })
	at := p.after(s.st.Segment)
	s.st.Timeline, s.st.Stored, s.st.StoredAt = at.timeline, at.at, s.o.Now().UTC()
	s.st.Problem, s.st.Since = "", time.Time{}
	if p.file != "" {
		if err := s.spool.drop(p.file, p.size); err != nil {
			return err
		}
	}
	if u := p.unit; u != nil && p.stretch.End == u.End {
		select {
		case s.compact <- u:
			s.joining++
		default: // the one before is not done yet: this one stays in pieces
		}
	}
	if len(s.queue) == 0 && s.st.Dropping {
		s.restart(errAgain)
	}
	return s.save()
}

// oldest is when the oldest log came in that is not stored; mu is held.
func (s *streamer) oldest() time.Time {
	if len(s.queue) > 0 {
		return s.queue[0].since.UTC()
	}
	if s.uncut() > 0 {
		return s.unit.first.UTC()
	}
	return time.Time{}
}

// spill moves what waits in memory to the spool when it becomes too much: the store is away, or too slow.
func (s *streamer) spill() error {
	s.mu.Lock()
	var waiting []*parcel
	var plain [][]byte
	n := 0
	for _, p := range s.queue {
		if p.file == "" {
			waiting, plain, n = append(waiting, p), append(plain, p.plain), n+len(p.plain)
		}
	}
	s.mu.Unlock()
	if n <= s.o.Memory {
		return nil
	}
	mark := wal.NewMarker(*s.repo.Keys.Index)
	for i, p := range waiting {
		key, data, err := p.pack(plain[i], s.repo, mark)
		if err != nil {
			return err
		}
		file, err := s.spool.put(s.repo.Root.ID, key, data)
		if errors.Is(err, errFull) || diskspace.IsFull(err) {
			return s.overflow(p, err)
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		stored := !slices.Contains(s.queue, p)
		if !stored {
			p.key, p.file, p.size, p.plain, p.unit = key, file, int64(len(data)), nil, nil
		}
		s.mu.Unlock()
		if stored {
			if err := s.spool.drop(file, int64(len(data))); err != nil {
				return err
			}
		}
	}
	return nil
}

// overflow gives up log from the parcel on: PostgreSQL goes on, its disk does not fill, and the gap is known before it does.
func (s *streamer) overflow(p *parcel, why error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.queue, p)
	if i < 0 {
		return nil // the store took it meanwhile
	}
	kept := s.queue[:i]
	first := s.queue[0]
	s.queue, s.unit, s.st.Dropping = kept, nil, true
	from := s.last()
	if i == 0 {
		s.queue = []*parcel{first} // on its way to the store: it may arrive, but nothing may rely on that
	}
	return s.miss(from.at, position{from.timeline, 0}, "the store could not be reached for long, and "+why.Error())
}
