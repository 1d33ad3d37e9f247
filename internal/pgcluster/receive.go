package pgcluster

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// ReceiveOptions says which log is received and how far.
type ReceiveOptions struct {
	Slot      string // physical slot that keeps the log on the server; made with its log reserved; empty: none
	Temporary bool   // the slot goes away with the connection
	Start     LSN    // 0: where the slot holds the log, or the server's current position; rounded down to its segment
	Timeline  uint32 // of Start; 0: the server's current one
	// Until is asked again and again: the log is received up to the position it returns; 0 means not known yet. Nil: the
	// log is received until ctx ends.
	Until func() LSN
	// Durable returns how much the sink has made safe, which lets the server drop the log before it. It may be called while
	// the sink runs. Nil: everything that the sink took.
	Durable func() LSN
	// Started is told once that the log is held from Start on: from then on nothing after it can be missed.
	Started func(ReceiveStart)
	// Heard is told where the server's log ends, whenever it says so. Nil: nobody.
	Heard func(end LSN)
	// Quiet is how long nothing may come, not even the answer to a question, until the connection counts as dead; a database
	// in which nothing happens does answer. 0: a minute.
	Quiet time.Duration
}

// ReceiveStart says what is received.
type ReceiveStart struct {
	System      System
	Start       LSN // first byte of a segment
	Timeline    uint32
	SegmentSize uint32 // bytes
}

// WALPiece is a run of bytes of the log within one segment. Pieces come in order and without gaps; a new timeline begins
// again at the first byte of the segment in which it branches off.
type WALPiece struct {
	Timeline uint32
	Start    LSN
	Segment  string // name of the segment file
	Offset   uint32 // of Data in the segment
	Data     []byte // valid until the sink returns
	Last     bool   // the segment is complete
}

// End is the position behind the piece.
func (p WALPiece) End() LSN { return p.Start + LSN(len(p.Data)) }

// statusInterval is how often the server is told how far we are; pollInterval how soon a new Until is seen.
const (
	statusInterval = time.Second
	pollInterval   = 50 * time.Millisecond
)

// ReceiveWAL streams the write-ahead log over the replication protocol into sink until o.Until is reached; it follows
// the server to a new timeline. It returns ctx.Err() when ctx ends first and sink's error as it is. Error kinds: WALGap
// (the server has removed the log), Fenced (the server never had it), Locked (the slot is in use), Auth, Unreachable.
func ReceiveWAL(ctx context.Context, connString string, o ReceiveOptions, sink func(ctx context.Context, piece WALPiece) error) error {
	if o.Slot != "" {
		if err := checkSlot(o.Slot); err != nil {
			return err
		}
	}
	conn, err := openReplication(ctx, connString)
	if err != nil {
		return err
	}
	if o.Quiet == 0 {
		o.Quiet = time.Minute
	}
	r := receiver{conn: conn, o: o, sink: sink}
	err = r.begin(ctx)
	for err == nil {
		var ended bool
		if ended, err = r.stream(ctx); ended {
			break
		}
	}
	if ctx.Err() != nil && err != nil {
		err = ctx.Err()
	}
	return closeReplication(ctx, conn, err)
}

type receiver struct {
	conn     *pgconn.PgConn
	o        ReceiveOptions
	sink     func(context.Context, WALPiece) error
	segment  uint32
	timeline uint32
	next     LSN // position of the next byte
	reported time.Time
	heard    time.Time // when the server last said something
	asked    time.Time // when it was last asked to
}

// begin finds out where to start and holds the log there.
func (r *receiver) begin(ctx context.Context) error {
	sys, err := identify(ctx, r.conn)
	if err != nil {
		return err
	}
	if r.segment, err = segmentSize(ctx, r.conn); err != nil {
		return err
	}
	r.timeline, r.next = r.o.Timeline, r.o.Start
	if r.timeline == 0 {
		r.timeline = sys.Timeline
	}
	if r.o.Slot != "" {
		slot, err := ensureSlot(ctx, r.conn, r.o.Slot, r.o.Temporary)
		if err != nil {
			return err
		}
		if r.next == 0 {
			r.next = slot.Held
		}
	}
	if r.next == 0 {
		r.next = sys.Flushed
	}
	r.next -= r.next % LSN(r.segment)
	if r.o.Started != nil {
		r.o.Started(ReceiveStart{System: sys, Start: r.next, Timeline: r.timeline, SegmentSize: r.segment})
	}
	return nil
}
