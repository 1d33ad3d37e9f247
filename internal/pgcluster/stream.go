package pgcluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"practicectl/internal/uerr"
)

// stream receives one timeline. It reports true when Until is reached and false when the timeline ended and the next
// one is to be streamed.
func (r *receiver) stream(ctx context.Context) (bool, error) {
	op := "receive the log from " + r.next.String()
	sql := "START_REPLICATION "
	if r.o.Slot != "" {
		sql += "SLOT " + r.o.Slot + " "
	}
	r.conn.Frontend().Send(&pgproto3.Query{String: sql + fmt.Sprintf("PHYSICAL %s TIMELINE %d", r.next, r.timeline)})
	if err := r.conn.Frontend().Flush(); err != nil {
		return false, replicationError(op, err)
	}
	r.heard = time.Now()
	for {
		if r.reached() {
			return true, r.finish(ctx)
		}
		msg, err := r.receive(ctx)
		if err != nil {
			return false, replicationError(op, err)
		}
		if msg != nil {
			r.heard = time.Now()
		}
		switch msg := msg.(type) {
		case nil: // nothing came for a while
			if err := r.listen(op); err != nil {
				return false, err
			}
		case *pgproto3.CopyData:
			if err := r.data(ctx, msg.Data); err != nil {
				return false, err
			}
		case *pgproto3.ErrorResponse:
			return false, replicationError(op, pgconn.ErrorResponseToPgError(msg))
		case *pgproto3.CopyDone:
			return false, r.nextTimeline(ctx, op)
		case *pgproto3.CommandComplete, *pgproto3.ReadyForQuery:
			return false, uerr.New(uerr.Unreachable, op, "", errors.New("the server is shutting down"), "look: practicectl db status")
		case *pgproto3.CopyBothResponse, *pgproto3.NoticeResponse, *pgproto3.ParameterStatus:
		default:
			return false, uerr.New(uerr.Failed, op, "", fmt.Errorf("unexpected message %T", msg), "")
		}
		if time.Since(r.reported) > statusInterval {
			if err := r.report(false); err != nil {
				return false, replicationError(op, err)
			}
		}
	}
}

// listen tells a quiet server, which answers when it is asked, from one that is gone without a word.
func (r *receiver) listen(op string) error {
	switch silent := time.Since(r.heard); {
	case silent > r.o.Quiet:
		return uerr.New(uerr.Unreachable, op, "", fmt.Errorf("the server has said nothing for %s, although it was asked", silent.Round(time.Second)), "look: practicectl db status")
	case silent > r.o.Quiet/3 && time.Since(r.asked) > r.o.Quiet/3:
		r.asked = time.Now()
		if err := r.report(true); err != nil {
			return replicationError(op, err)
		}
	}
	return nil
}

func (r *receiver) reached() bool {
	if r.o.Until == nil {
		return false
	}
	until := r.o.Until()
	return until != 0 && r.next >= until
}

// receive returns the next message, or nil when none came within pollInterval.
func (r *receiver) receive(ctx context.Context) (pgproto3.BackendMessage, error) {
	tick, cancel := context.WithTimeout(ctx, pollInterval)
	defer cancel()
	msg, err := r.conn.ReceiveMessage(tick)
	if err != nil && pgconn.Timeout(err) && ctx.Err() == nil {
		return nil, nil // nothing is no error here
	}
	return msg, err
}

// data handles the two messages inside the stream: log ('w') and keepalive ('k').
func (r *receiver) data(ctx context.Context, msg []byte) error {
	bad := func(why string) error {
		return uerr.New(uerr.Failed, "receive the log from "+r.next.String(), "", errors.New(why), "")
	}
	switch {
	case len(msg) >= 25 && msg[0] == 'w':
		start := LSN(binary.BigEndian.Uint64(msg[1:]))
		if start != r.next {
			return bad("the server sent position " + start.String())
		}
		r.hear(msg[9:])
		return r.pieces(ctx, msg[25:])
	case len(msg) >= 18 && msg[0] == 'k':
		r.hear(msg[1:])
		if msg[17] == 1 {
			return r.report(false)
		}
		return nil
	}
	return bad("the server sent a malformed message")
}

// hear passes on where the server says that its log ends.
func (r *receiver) hear(end []byte) {
	if r.o.Heard != nil {
		r.o.Heard(LSN(binary.BigEndian.Uint64(end)))
	}
}

// pieces hands the bytes to the sink, cut at the ends of segments.
func (r *receiver) pieces(ctx context.Context, data []byte) error {
	for len(data) > 0 {
		offset := uint32(r.next % LSN(r.segment))
		n := min(uint64(len(data)), uint64(r.segment-offset))
		piece := WALPiece{Timeline: r.timeline, Start: r.next, Segment: WALName(r.timeline, r.next, r.segment), Offset: offset,
			Data: data[:n], Last: uint64(offset)+n == uint64(r.segment)}
		if err := r.take(ctx, piece); err != nil {
			return err
		}
		data, r.next = data[n:], piece.End()
	}
	return nil
}

// take runs the sink. A sink that waits for a slow line may take longer than wal_sender_timeout, so the server hears from us
// meanwhile.
func (r *receiver) take(ctx context.Context, piece WALPiece) error {
	taken := make(chan struct{})
	told := make(chan error, 1)
	first := time.AfterFunc(statusInterval, func() { told <- r.reportUntil(taken) })
	err := r.sink(ctx, piece)
	r.heard = time.Now() // while the sink ran, nobody listened
	close(taken)
	if !first.Stop() {
		if reportErr := <-told; err == nil && reportErr != nil {
			err = replicationError("receive the log from "+r.next.String(), reportErr)
		}
	}
	return err
}

// reportUntil reports once a statusInterval until done is closed.
func (r *receiver) reportUntil(done <-chan struct{}) error {
	tick := time.NewTicker(statusInterval)
	defer tick.Stop()
	for {
		if err := r.report(false); err != nil {
			return err
		}
		select {
		case <-done:
			return nil
		case <-tick.C:
		}
	}
}

// report sends a standby status update: what we have and what is safe with us. It may ask for an answer.
func (r *receiver) report(ask bool) error {
	safe := r.next
	if r.o.Durable != nil {
		safe = min(r.o.Durable(), r.next)
	}
	msg := []byte{'r'}
	for _, v := range []uint64{uint64(r.next), uint64(safe), 0, uint64(time.Now().UnixMicro() - 946684800*1_000_000)} {
		msg = binary.BigEndian.AppendUint64(msg, v)
	}
	answer := byte(0)
	if ask {
		answer = 1
	}
	r.conn.Frontend().Send(&pgproto3.CopyData{Data: append(msg, answer)})
	r.reported = time.Now()
	return r.conn.Frontend().Flush()
}

// finish ends the stream in good order, so that the server takes note of the last report.
func (r *receiver) finish(ctx context.Context) error {
	if err := r.report(false); err != nil {
		return replicationError("end the log stream", err)
	}
	r.conn.Frontend().Send(&pgproto3.CopyDone{})
	if err := r.conn.Frontend().Flush(); err != nil {
		return replicationError("end the log stream", err)
	}
	_, err := r.drain(ctx)
	return err
}

// nextTimeline answers the server's end of the timeline and takes over the one that follows.
func (r *receiver) nextTimeline(ctx context.Context, op string) error {
	r.conn.Frontend().Send(&pgproto3.CopyDone{})
	if err := r.conn.Frontend().Flush(); err != nil {
		return replicationError(op, err)
	}
	row, err := r.drain(ctx)
	if err != nil {
		return err
	}
	if len(row) < 2 {
		return uerr.New(uerr.Unreachable, op, "", errors.New("the server ended the stream"), "look: practicectl db status")
	}
	tli, errTLI := strconv.ParseUint(row[0], 10, 32)
	at, errAt := ParseLSN(row[1])
	if err := errors.Join(errTLI, errAt); err != nil || uint32(tli) <= r.timeline || at > r.next {
		return uerr.New(uerr.Failed, op, "", fmt.Errorf("timeline %d does not go on to %v", r.timeline, row), "")
	}
	r.timeline = uint32(tli)
	r.next = at - at%LSN(r.segment) // the new timeline's first segment is whole
	return nil
}

// drain reads up to the end of the command and returns the last row that came.
func (r *receiver) drain(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var row []string
	for {
		msg, err := r.conn.ReceiveMessage(ctx)
		if err != nil {
			return nil, replicationError("end the log stream", err)
		}
		switch msg := msg.(type) {
		case *pgproto3.DataRow:
			row = row[:0]
			for _, v := range msg.Values {
				row = append(row, string(v))
			}
		case *pgproto3.ErrorResponse:
			return nil, replicationError("end the log stream", pgconn.ErrorResponseToPgError(msg))
		case *pgproto3.ReadyForQuery:
			return row, nil
		}
	}
}
