package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"practicectl/backup/wal"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

// receive runs one session after the other. It returns nil only with Once.
func (s *streamer) receive(ctx context.Context) error {
	pause := time.Second
	for {
		began := s.o.Now()
		err := s.session(ctx)
		switch kind := uerr.KindOf(err); {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errAgain):
			continue
		case err == nil || s.o.Once && kind != uerr.WALGap, kind == uerr.Fenced, kind == uerr.Config:
			return err
		case kind == uerr.WALGap:
			if err = s.skip(ctx, err); err == nil {
				continue
			}
			if s.o.Once {
				return err // nobody waits for the next try
			}
		}
		if s.o.Now().Sub(began) > maxPause {
			pause = time.Second // it had been well for a while
		}
		s.trouble(err)
		select {
		case <-ctx.Done():
		case <-s.o.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

// errAgain ends a session that another one is to follow at once.
var errAgain = errors.New("begin the session again")

// session receives log from where the store's ends until the connection breaks.
func (s *streamer) session(ctx context.Context) error {
	sys, err := pgcluster.IdentifySystem(ctx, s.o.ConnString)
	if err != nil {
		return err
	}
	slot, err := s.ensureSlot(ctx)
	if err != nil {
		return err
	}
	if err := s.resume(ctx, sys, slot); err != nil {
		return err
	}
	ctx, again := context.WithCancelCause(ctx)
	defer again(nil)
	s.mu.Lock()
	s.restart = again
	from, o := s.from, pgcluster.ReceiveOptions{Slot: s.slot, Start: s.from.at, Timeline: s.from.timeline, Durable: s.durable, Started: s.started, Heard: s.heard}
	s.mu.Unlock()
	if s.o.Once {
		if from.timeline == sys.Timeline && from.at >= sys.Flushed {
			return nil // all is there
		}
		o.Until = func() pgcluster.LSN { return s.until(sys) }
	}
	err = pgcluster.ReceiveWAL(ctx, s.o.ConnString, o, s.take)
	if cause := context.Cause(ctx); errors.Is(cause, errAgain) {
		return cause
	}
	return err
}

// until is where a run with Once ends: where the server's log ended, on the timeline on which it did.
func (s *streamer) until(sys pgcluster.System) pgcluster.LSN {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unit == nil && s.from.timeline == sys.Timeline || s.unit != nil && s.unit.Timeline == sys.Timeline {
		return sys.Flushed
	}
	return 0
}

// ensureSlot has the slot hold log from here on. One that the server gave up is made again; what it held meanwhile may be gone.
func (s *streamer) ensureSlot(ctx context.Context) (pgcluster.Slot, error) {
	slot, err := pgcluster.EnsureSlot(ctx, s.o.ConnString, s.slot)
	if err != nil {
		return slot, err
	}
	known := s.state().System != 0
	if slot.Held == 0 {
		s.warn("the server gave up the replication slot %s: more log waited for the store than max_slot_wal_keep_size allows", s.slot)
		if err := pgcluster.DropSlot(ctx, s.o.ConnString, s.slot); err != nil {
			return slot, err
		}
		return pgcluster.EnsureSlot(ctx, s.o.ConnString, s.slot)
	}
	if slot.Made && known {
		s.warn("the replication slot %s was gone and is made again", s.slot)
	}
	return slot, nil
}

// resume decides where the session begins: where the log that is safe ends, if the server still is who it was.
func (s *streamer) resume(ctx context.Context, sys pgcluster.System, slot pgcluster.Slot) error {
	if sys.Standby {
		return uerr.New(uerr.Precond, "receive the log", "", errors.New("the database is a standby; its primary's log is the one to store"), "look: practicectl db status")
	}
	h, err := s.history(ctx, sys.Timeline)
	if err != nil {
		return err
	}
	s.mu.Lock()
	at, known, dropping := s.last(), s.st.System == sys.ID, s.st.Dropping
	if s.st.System != 0 && !known {
		s.warn("the database is another one than before: its log begins anew")
		at, s.st.Timeline, s.st.Stored, s.st.StoredAt = position{}, 0, 0, time.Time{}
	}
	s.mu.Unlock()
	if !known {
		found, err := wal.LookAt(ctx, s.store, sys.ID)
		if err != nil {
			s.trouble(err) // what the slot holds is new in any case
		}
		for _, f := range found.Stretches { // by timeline
			if p := (position{f.Timeline, f.End}); p.timeline <= sys.Timeline && (p.timeline > at.timeline || p.timeline == at.timeline && p.at > at.at) {
				at = p
			}
		}
	}
	if p, whole := s.unbroken(slotPosition(h, sys, slot)); dropping && whole {
		at, dropping = p, false
	}
	if dropping || at.timeline == 0 {
		return s.begin(sys, slotPosition(h, sys, slot), true, nil)
	}
	next, branch, err := s.follow(at, sys, h)
	if err != nil {
		return err
	}
	return s.begin(sys, next, branch != nil, branch)
}

// unbroken takes an open gap back when the server still holds all log from where it begins, and returns that position: what could
// not be kept meanwhile comes once more.
func (s *streamer) unbroken(held position) (position, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.st.Gaps)
	if n == 0 || len(s.queue) > 0 {
		return position{}, false
	}
	open := s.st.Gaps[n-1]
	if open.To != 0 || held.timeline != open.Timeline || held.at > open.From {
		return position{}, false
	}
	s.st.Gaps, s.st.Dropping = s.st.Gaps[:n-1], false
	s.warn("the server still has the log from %s on: nothing is missing", open.From)
	return position{open.Timeline, open.From}, true
}

// last is the position up to which log is stored or on its way; mu is held.
func (s *streamer) last() position {
	if n := len(s.queue); n > 0 {
		return s.queue[n-1].after(s.st.Segment)
	}
	return position{s.st.Timeline, s.st.Stored}
}

// begin notes where the session begins; fresh: at the beginning of that segment. On a new timeline its history comes first.
func (s *streamer) begin(sys pgcluster.System, from position, fresh bool, branch *parcel) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.st.System, s.st.ServerEnd = sys.ID, sys.Flushed
	s.unit, s.from, s.fresh = nil, from, fresh
	if branch != nil {
		s.queue = append(s.queue, branch)
		s.poke()
	}
	return s.save()
}

// started hears the size of a segment, at whose beginning the server begins to send.
func (s *streamer) started(r pgcluster.ReceiveStart) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.st.Segment = r.SegmentSize
	if s.fresh {
		s.from = position{r.Timeline, r.Start}
	}
	switch {
	case s.st.Dropping && len(s.queue) > 0: // until the spool is empty
	case s.st.Dropping:
		s.st.Dropping = false
		if err := s.miss(0, s.from, ""); err != nil {
			s.restart(err)
		}
	case s.st.Timeline == 0 && len(s.queue) == 0:
		s.st.Timeline, s.st.Stored = s.from.timeline, s.from.at
	}
}

func (s *streamer) heard(end pgcluster.LSN) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.st.ServerEnd = end
}

// take accepts log; it is the sink of the receiver.
func (s *streamer) take(ctx context.Context, p pgcluster.WALPiece) error {
	s.mu.Lock()
	current := s.from.timeline
	if s.unit != nil {
		current = s.unit.Timeline
	}
	s.mu.Unlock()
	if p.Timeline != current {
		if err := s.turn(ctx, p); err != nil {
			return err
		}
	}
	if err := s.gather(p); err != nil {
		return err
	}
	return s.spill()
}

// gather puts the bytes into units.
func (s *streamer) gather(p pgcluster.WALPiece) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	s.st.Received, s.st.ServerEnd = p.End(), max(s.st.ServerEnd, p.End())
	size := wal.UnitOf(s.st.Segment)
	at, data := p.Start, p.Data
	for len(data) > 0 && !s.st.Dropping {
		if s.unit == nil {
			s.unit = newUnit(s.st.System, position{p.Timeline, at}, size, s.from)
		}
		u := s.unit
		n := min(int64(len(data)), int64(u.End-at))
		if at != u.filled() {
			return uerr.New(uerr.WALGap, "receive the log", p.Segment, errors.New("a piece does not follow the one before"), "run the same command again")
		}
		u.add(data[:n], now)
		at, data = at+pgcluster.LSN(n), data[n:]
		if !u.full() {
			break
		}
		if u.uncut() > 0 {
			s.queue = append(s.queue, u.slice(now))
		}
		s.unit = nil
	}
	s.poke()
	return nil
}

// turn ends the old timeline and begins the new one with its history.
func (s *streamer) turn(ctx context.Context, p pgcluster.WALPiece) error {
	history, err := s.history(ctx, p.Timeline)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	branch, err := s.branch(p.Timeline, history)
	if err != nil {
		return err
	}
	if u := s.unit; u != nil && u.uncut() > 0 {
		s.queue = append(s.queue, u.slice(s.o.Now()))
	}
	s.queue = append(s.queue, branch)
	s.unit, s.from = nil, position{p.Timeline, p.Start}
	return nil
}

// branch is the parcel that tells where a timeline began.
func (s *streamer) branch(timeline uint32, h history) (*parcel, error) {
	b, err := wal.BranchOf(s.st.System, timeline, h.file)
	return &parcel{branch: &b, plain: h.file, since: s.o.Now()}, err
}

// history is that of a timeline; empty for the first.
type history struct {
	timeline uint32
	file     []byte
	entries  []pgcluster.HistoryEntry
}

func (s *streamer) history(ctx context.Context, timeline uint32) (h history, err error) {
	h.timeline = timeline
	if timeline == 1 {
		return h, nil
	}
	if _, h.file, err = pgcluster.TimelineHistory(ctx, s.o.ConnString, timeline); err != nil {
		return h, err
	}
	if h.entries, err = pgcluster.ParseHistory(string(h.file)); err != nil {
		return h, uerr.New(uerr.Failed, "read the history of timeline", strconv.FormatUint(uint64(timeline), 10), err, "")
	}
	return h, nil
}

// follow finds where the log of a server goes on from at. The server must have it: one that has less, or went another way
// before, is not the one whose log is stored. Error kind: Fenced.
func (s *streamer) follow(at position, sys pgcluster.System, h history) (position, *parcel, error) {
	fenced := func(why string) error {
		return uerr.New(uerr.Fenced, "go on with the log from", at.at.String(), errors.New(why),
			"when this machine was brought back from an image of it, restore the practice from its backups instead; a copy needs a repository of its own: practicectl backup init")
	}
	if at.timeline == sys.Timeline {
		if sys.Flushed < at.at {
			return at, nil, fenced(fmt.Sprintf("the repository has log of this database up to there, and the database itself ends at %s: it is an older state, or a copy", sys.Flushed))
		}
		return at, nil, nil
	}
	i := slices.IndexFunc(h.entries, func(e pgcluster.HistoryEntry) bool { return e.Timeline == at.timeline })
	if i < 0 {
		return at, nil, fenced(fmt.Sprintf("timeline %d is stored, and is none of the database's", at.timeline))
	}
	if h.entries[i].End >= at.at {
		return at, nil, nil // the receiver follows by itself
	}
	next := position{sys.Timeline, h.entries[i].End}
	if i+1 < len(h.entries) {
		next.timeline = h.entries[i+1].Timeline
	}
	b := wal.Branch{System: sys.ID, Timeline: next.timeline, Parent: at.timeline, At: next.at}
	return next, &parcel{branch: &b, plain: h.upTo(i), since: s.o.Now()}, nil
}

// upTo is the history file of the timeline that follows the entry i.
func (h history) upTo(i int) []byte {
	if i == len(h.entries)-1 {
		return h.file
	}
	var out []byte
	for _, e := range h.entries[:i+1] {
		out = fmt.Appendf(out, "%d\t%s\t%s\n", e.Timeline, e.End, e.Reason)
	}
	return out
}

// slotPosition is where the slot holds the log, and on which timeline that is.
func slotPosition(h history, sys pgcluster.System, slot pgcluster.Slot) position {
	for _, e := range h.entries {
		if slot.Held < e.End {
			return position{e.Timeline, slot.Held}
		}
	}
	return position{sys.Timeline, slot.Held}
}

// reaches tells whether the segment of to begins at p or before it.
func (p position) reaches(to position, segment pgcluster.LSN) bool {
	return to.timeline == p.timeline && to.at-to.at%segment <= p.at
}

// skip goes on behind log that the server does not have any more: a gap.
func (s *streamer) skip(ctx context.Context, why error) error {
	sys, err := pgcluster.IdentifySystem(ctx, s.o.ConnString)
	if err != nil {
		return err
	}
	slot, err := s.ensureSlot(ctx)
	if err != nil {
		return err
	}
	h, err := s.history(ctx, sys.Timeline)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if u := s.unit; u != nil && u.uncut() > 0 {
		s.queue = append(s.queue, u.slice(s.o.Now()))
	}
	s.unit = nil
	from, segment := s.last(), pgcluster.LSN(max(s.st.Segment, 1<<20))
	s.mu.Unlock()
	to := slotPosition(h, sys, slot)
	if from.reaches(to, segment) {
		// What was confirmed took the new slot back to log that the server had removed already: another one holds what there is.
		if err := pgcluster.DropSlot(ctx, s.o.ConnString, s.slot); err != nil {
			return err
		}
		if slot, err = pgcluster.EnsureSlot(ctx, s.o.ConnString, s.slot); err != nil {
			return err
		}
		if to = slotPosition(h, sys, slot); from.reaches(to, segment) {
			return why // it is held and cannot be had: no gap, a fault
		}
	}
	to.at -= to.at % segment
	s.mu.Lock()
	defer s.mu.Unlock()
	var e *uerr.Error
	reason := "the server does not have it any more"
	if errors.As(why, &e) && e.Err != nil {
		reason += ": " + e.Err.Error()
	}
	return s.miss(from.at, to, reason)
}

// durable is what the server may forget: what is stored or lies in the spool.
func (s *streamer) durable() pgcluster.LSN {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.st.Dropping {
		return s.st.Received
	}
	at, current := position{s.st.Timeline, s.st.Stored}, s.from.timeline
	if s.unit != nil {
		current = s.unit.Timeline
	}
	for _, p := range s.queue {
		next := p.after(s.st.Segment)
		if p.file == "" {
			if next.timeline != at.timeline {
				at.at = min(at.at, next.at) // of the new timeline nothing is safe yet
			}
			break
		}
		at = next
	}
	if at.timeline != current {
		return min(at.at, s.from.at)
	}
	return at.at
}

// trouble shows why nothing goes on; the state has it until it does.
func (s *streamer) trouble(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.st.Problem == "" {
		s.st.Since = s.o.Now().UTC()
		s.warn("%v", err)
	}
	s.st.Problem, s.cause = err.Error(), err
	_ = s.save() // a disk that is full shows itself elsewhere
}
