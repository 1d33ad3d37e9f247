// Package stream brings the write-ahead log of a running cluster into the repository while it is written, so that every
// moment can be restored and not only the snapshots.
//
// A session receives the log over the replication protocol and gathers it into units. A shipper cuts pieces off, seals and
// stores them in order. PostgreSQL is told to forget only what is safe: stored, or, while the store is away, sealed in the
// spool on the local disk. What is lost all the same, because the spool is full or the server dropped it, becomes a gap: noted,
// shown, and made good by the next snapshot.
package stream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"practicectl/backup/repo"
	"practicectl/backup/wal"
	"practicectl/internal/diskspace"
	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

// Options of a stream.
type Options struct {
	ConnString string        // of a role with REPLICATION
	Dir        string        // keeps the state and the spool; nobody else may write there
	Spool      int64         // bytes that the spool may hold; 0: a tenth of the free disk, at most 4 GiB
	Window     time.Duration // how long log is locked, in a store that locks objects; 0: as long as a daily snapshot
	Once       bool          // store what the server has now, then end
	Piece      int           // bytes at which a piece is cut; 0: 1 MiB
	Memory     int           // bytes of log that wait for the store before they go to the spool; 0: 64 MiB
	Now        func() time.Time
	After      func(time.Duration) <-chan time.Time // a clock for tests; nil: time.After
	Warn       func(format string, args ...any)     // what somebody should know, once for each event

}

// cutAfter is how old the oldest log gets before it is cut and stored: a second less than the five that may be lost.
const cutAfter = 4 * time.Second

const (
	pieceSize   = 1 << 20
	inMemory    = 4 * wal.Unit // bytes of log that wait for the store in memory; beyond that they go to the spool
	lookEvery   = time.Minute  // how often the store is asked for another writer's log in a unit that grows
	heartbeat   = 10 * time.Second
	maxPause    = 30 * time.Second // between attempts
	stopWithin  = 15 * time.Second // for what is left when the stream is stopped
	defaultRoom = 4 << 30
)

// SlotName is the replication slot of a host's stream into a repository.
func SlotName(r *repo.Repo) string {
	sum := sha256.Sum256([]byte(r.Root.ID + " " + r.Keys.Pin.Host))
	return "practice_stream_" + hex.EncodeToString(sum[:6])
}

// streamer is one run.
type streamer struct {
	o      Options
	repo   *repo.Repo
	store  objstore.Store
	mark   *wal.Marker // of the shipper
	slot   string
	spool  spool
	finish context.CancelCauseFunc // ends the run

	mu       sync.Mutex
	wake     chan struct{}
	st       State
	queue    []*parcel               // to store, in order; those in the spool come first
	unit     *unit                   // that grows
	from     position                // where this session's log begins to be new
	fresh    bool                    // nothing of that segment is stored yet
	stopping bool                    // cut what there is at once
	restart  context.CancelCauseFunc // ends the session
	cause    error                   // of the problem in the state
	compact  chan *unit
	joining  int // units that wait to be stored in one piece, or are just being so
}

// Run streams until ctx ends, and then returns nil when everything that was received is safe. A host has one stream at a time;
// the caller holds the lock. Error kinds: Fenced (another cluster, or an older state of this one, writes to the repository),
// WALGap (a gap is open that no snapshot has made good), Precond with repo.ErrNewSettings (open the repository again), Config; with Once also Unreachable, Auth, Precond, Locked.
func Run(ctx context.Context, r *repo.Repo, o Options) error {
	s, err := open(r, o)
	if err != nil {
		return err
	}
	work, finish := context.WithCancelCause(context.WithoutCancel(ctx))
	defer finish(nil)
	s.finish = finish
	var wg sync.WaitGroup
	wg.Go(func() { s.ship(work) })
	wg.Go(func() { s.compactUnits(work) })
	wg.Go(func() { s.beat(work) })
	wg.Go(func() { s.stopWith(ctx, work) })
	err = s.receive(work)
	if o.Once && err == nil {
		err = s.drain(work, work)
	}
	finish(errDone)
	wg.Wait()
	if err != nil && !errors.Is(err, errDone) {
		return err
	}
	return s.state().Alarm(o.Dir) // green would be a lie
}

// errDone ends a run in good order.
var errDone = errors.New("the stream is done")

func open(r *repo.Repo, o Options) (*streamer, error) {
	const op = "open the state of the log stream"
	if o.Piece == 0 {
		o.Piece = pieceSize
	}
	if o.Memory == 0 {
		o.Memory = inMemory
	}
	if o.After == nil {
		o.After = time.After
	}
	if err := os.MkdirAll(filepath.Join(o.Dir, spoolDir), 0o700); err != nil {
		return nil, uerr.New(uerr.Precond, op, o.Dir, err, "run the command as the account that owns the instance")
	}
	s := &streamer{o: o, repo: r, store: lockedStore(r, o), mark: wal.NewMarker(*r.Keys.Index), slot: SlotName(r), wake: make(chan struct{}, 1), compact: make(chan *unit, 2)}
	var err error
	if s.st, err = Read(o.Dir); err != nil && uerr.KindOf(err) != uerr.NotFound {
		return nil, err
	}
	if of := r.Root.ID; s.st.Repository != of {
		s.st = State{Repository: of} // that of another repository is worth nothing here
	}
	s.st.Format, s.st.Slot, s.st.Problem, s.st.Since = stateFormat, s.slot, "", time.Time{}
	if o.Spool == 0 {
		o.Spool = defaultRoom
		if free, err := diskspace.Free(o.Dir); err == nil {
			o.Spool = min(o.Spool, free/10)
		}
	}
	s.spool = spool{dir: filepath.Join(o.Dir, spoolDir), limit: o.Spool}
	s.queue, err = s.spool.load(r.Root.ID)
	return s, err
}

// state is a copy of the state as it is now.
func (s *streamer) state() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.st
}

// poke lets the shipper look for work.
func (s *streamer) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// beat shows every few seconds that the stream lives, also while nothing happens.
func (s *streamer) beat(ctx context.Context) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.mu.Lock()
			_ = s.save() // the next one may succeed; status notices when none does
			s.mu.Unlock()
		}
	}
}

// stopWith ends the run when ctx ends: what was received is stored first, as far as the store takes it.
func (s *streamer) stopWith(ctx, work context.Context) {
	select {
	case <-work.Done():
		return
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(work, stopWithin)
	defer cancel()
	_ = s.drain(work, grace) // what stays is held by the slot or lies in the spool
	s.finish(errDone)
}

// drain stores all that was received so far, until grace ends.
func (s *streamer) drain(work, grace context.Context) error {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	s.poke()
	for {
		s.mu.Lock()
		left := len(s.queue) > 0 || s.uncut() > 0 || s.joining > 0
		problem, cause := s.st.Problem, s.cause
		s.mu.Unlock()
		switch {
		case !left:
			return nil
		case s.o.Once && problem != "":
			kind := uerr.Unreachable
			if k := uerr.KindOf(cause); k != uerr.Failed {
				kind = k
			}
			return uerr.New(kind, "store the log in", s.store.String(), cause, "run the same command again")
		}
		select {
		case <-work.Done():
			return context.Cause(work)
		case <-grace.Done():
			return context.Cause(grace)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
