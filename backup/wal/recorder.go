// Package wal brings write-ahead log into the repository and lays it out again for a restore.
//
// An object holds a stretch of one segment: an age file of a zstd frame. Its name is its stretch and the keyed hash of its
// bytes, w/<system id>/<timeline>/<start>-<end>-<hash>, so that storing the same log twice is one object and two clusters
// that claim the same stretch with different bytes are noticed.
package wal

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"filippo.io/age"
	"golang.org/x/sync/errgroup"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/pgcluster"
	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// HistoryName begins the name of a timeline's history file, in place of a stretch.
const HistoryName = "history-"

// Recorder stores pieces of log as they come in. Its methods are called by one goroutine.
type Recorder struct {
	ctx        context.Context
	store      objstore.Store
	recipients []age.Recipient
	mark       *Marker
	system     uint64
	timeline   uint32
	start      pgcluster.LSN // of buf
	buf        []byte
	up         errgroup.Group
	mu         sync.Mutex
	done       []Object
	added      int64
}

// Object is a stored stretch of log.
type Object struct {
	Stored     repo.WALObject
	Start, End pgcluster.LSN
}

// NewRecorder stores the log of the cluster system. The context is that of all uploads.
func NewRecorder(ctx context.Context, st objstore.Store, recipients []age.Recipient, key repo.IndexKey, system uint64) *Recorder {
	r := &Recorder{ctx: ctx, store: st, recipients: recipients, mark: NewMarker(key), system: system}
	r.up.SetLimit(2)
	return r
}

// Take accepts a piece; it is a sink of pgcluster.ReceiveWAL.
func (r *Recorder) Take(_ context.Context, p pgcluster.WALPiece) error {
	if len(r.buf) > 0 && (r.timeline != p.Timeline || r.start+pgcluster.LSN(len(r.buf)) != p.Start) {
		return uerr.New(uerr.WALGap, "receive the log", p.Segment, errors.New("a piece does not follow the one before"), "run the same command again")
	}
	data := p.Data
	for len(data) > 0 {
		if len(r.buf) == 0 {
			r.timeline, r.start = p.Timeline, p.End()-pgcluster.LSN(len(data))
		}
		n := min(len(data), Unit-len(r.buf))
		r.buf = append(r.buf, data[:n]...)
		if data = data[n:]; len(r.buf) == Unit {
			r.send(r.buf)
		}
	}
	if p.Last && len(r.buf) > 0 {
		r.send(r.buf)
	}
	return nil
}

// Finish stores the log up to stop and returns all objects in order, once they are durable.
func (r *Recorder) Finish(stop pgcluster.LSN) ([]Object, error) {
	if n := int64(stop) - int64(r.start); len(r.buf) > 0 && n > 0 {
		r.send(r.buf[:min(n, int64(len(r.buf)))])
	}
	if err := r.up.Wait(); err != nil {
		return nil, err
	}
	var out []Object
	for _, o := range r.done {
		if o.Start < stop {
			out = append(out, o)
		}
	}
	if len(out) == 0 || out[len(out)-1].End < stop {
		return nil, uerr.New(uerr.WALGap, "store the log", "", fmt.Errorf("it does not reach %s", stop), "run the same command again")
	}
	return out, nil
}

// Wait returns when no upload is under way any more. It is for giving up: cancel the context first.
func (r *Recorder) Wait() { _ = r.up.Wait() } // why it failed is known already

// History stores the history file of a timeline beside the timeline's log.
func (r *Recorder) History(timeline uint32, content []byte) (repo.WALObject, error) {
	b, err := BranchOf(r.system, timeline, content)
	if err != nil {
		return repo.WALObject{}, err
	}
	return r.storeOne(b.prefix(), b.Key(r.mark.Mark(content)), content)
}

// BranchOf reads in a timeline's history file where it left the one before it.
func BranchOf(system uint64, timeline uint32, history []byte) (Branch, error) {
	entries, err := pgcluster.ParseHistory(string(history))
	if err == nil && len(entries) == 0 {
		err = errors.New("it names no timeline before this one")
	}
	if err != nil {
		return Branch{}, uerr.New(uerr.Failed, "read the history of timeline", strconv.FormatUint(uint64(timeline), 10), err, "")
	}
	last := entries[len(entries)-1]
	return Branch{System: system, Timeline: timeline, Parent: last.Timeline, At: last.End}, nil
}

// Added is the number of bytes stored.
func (r *Recorder) Added() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.added
}

func (r *Recorder) send(data []byte) {
	r.buf = nil
	o := Object{Start: r.start, End: r.start + pgcluster.LSN(len(data))}
	stretch := Stretch{System: r.system, Timeline: r.timeline, Start: o.Start, End: o.End}
	o.Stored.Key = stretch.Key(r.mark.Mark(data))
	r.mu.Lock()
	at := len(r.done)
	r.done = append(r.done, o)
	r.mu.Unlock()
	r.up.Go(func() error {
		stored, err := r.storeOne(stretch.prefix(), o.Stored.Key, data)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.done[at].Stored = stored
		return err
	})
}

// storeOne stores one object, or finds it stored.
func (r *Recorder) storeOne(stretch, key string, data []byte) (repo.WALObject, error) {
	const op = "store the log in"
	o := repo.WALObject{Key: key}
	for info, err := range r.store.List(r.ctx, stretch) {
		switch {
		case err != nil:
			return o, repo.StoreError(op, r.store, key, err)
		case contradicts(info.Key, key, stretch):
			return o, Forked(op, r.store, info.Key)
		case info.Key == key:
			return r.stored(key)
		}
	}
	packed, err := Pack(data, r.recipients)
	if err != nil {
		return o, err
	}
	if err := repo.Create(r.ctx, r.store, key, packed); errors.Is(err, objstore.ErrExists) {
		return r.stored(key)
	} else if err != nil {
		return o, repo.StoreError(op, r.store, key, err)
	}
	o.Size, o.SHA256 = int64(len(packed)), fmt.Sprintf("%x", sha256.Sum256(packed))
	r.mu.Lock()
	r.added += o.Size
	r.mu.Unlock()
	return o, nil
}

// contradicts tells that other names the same stretch as key and other bytes, under the same index key.
func contradicts(other, key, stretch string) bool {
	text, same := strings.CutPrefix(other, stretch)
	if !same || other == key {
		return false
	}
	theirs, ok := parseMark(text)
	ours, _ := parseMark(strings.TrimPrefix(key, stretch)) // just made
	return !ok || theirs.Epoch == ours.Epoch
}

// stored describes an object that an earlier run stored.
func (r *Recorder) stored(key string) (repo.WALObject, error) {
	data, err := repo.ReadObject(r.ctx, r.store, key, repo.MaxPack)
	if err != nil {
		return repo.WALObject{}, repo.StoreError("read the log in", r.store, key, err)
	}
	return repo.WALObject{Key: key, Size: int64(len(data)), SHA256: fmt.Sprintf("%x", sha256.Sum256(data))}, nil
}

// Forked is the error for an object that another cluster with the same identity stored where ours belongs.
func Forked(op string, st objstore.Store, key string) error {
	return uerr.New(uerr.Fenced, op, st.String()+" "+key, errors.New("another cluster stored different log under the same position: a copy of this database writes to the same repository"),
		"stop the copy, or give it a repository of its own: practicectl backup init")
}

// Pack makes the object for a piece of log: an age file of one zstd frame.
func Pack(data []byte, recipients []age.Recipient) ([]byte, error) {
	enc, err := repo.NewEncoder()
	if err != nil {
		return nil, err
	}
	return sealed.SealBytes(enc.EncodeAll(data, nil), recipients...)
}
