package stream

import (
	"cmp"
	"time"

	"practicectl/backup/repo"
	"practicectl/backup/retain"
	"practicectl/backup/wal"
	"practicectl/internal/objstore"
	"practicectl/internal/pgcluster"
)

// parcel is one object on its way to the store: a piece of log, the history of a timeline, or the record of a gap.
type parcel struct {
	stretch *wal.Stretch
	branch  *wal.Branch
	gap     *Gap

	plain []byte    // what is sealed, or for a gap the signed record; nil once it lies in the spool
	key   string    // of the object; empty until it is packed
	file  string    // in the spool; empty: only in memory
	size  int64     // of the file
	since time.Time // when the oldest byte of it came in
	unit  *unit     // that the piece was cut off; nil once it lies in the spool
}

// after is how far the store's log reaches once it has the parcel.
func (p *parcel) after(segment uint32) position {
	switch {
	case p.stretch != nil:
		return position{p.stretch.Timeline, p.stretch.End}
	case p.branch != nil: // the timeline's log is stored from the beginning of the segment on
		at := p.branch.At
		if segment > 0 {
			at -= at % pgcluster.LSN(segment)
		}
		return position{p.branch.Timeline, at}
	}
	return position{p.gap.Timeline, p.gap.To}
}

// pack names and seals the content. Each goroutine brings its own marker.
func (p *parcel) pack(plain []byte, r *repo.Repo, mark *wal.Marker) (key string, data []byte, err error) {
	switch {
	case p.stretch != nil:
		key = p.stretch.Key(mark.Mark(plain))
	case p.branch != nil:
		key = p.branch.Key(mark.Mark(plain))
	default:
		return p.gap.key(), plain, nil
	}
	data, err = wal.Pack(plain, r.Recipients)
	return key, data, err
}

// lockedStore is the store of the repository; where it locks objects, log is locked for as long as every moment shall be
// restorable. A snapshot extends the locks of the log that it needs itself.
func lockedStore(r *repo.Repo, o Options) objstore.Store {
	if !r.Keys.Pin.ObjectLock {
		return r.Store
	}
	return retain.Locked(r.Store, func() time.Time { return retain.LogUntil(o.Now(), cmp.Or(o.Window, retain.Daily.Period())) })
}
