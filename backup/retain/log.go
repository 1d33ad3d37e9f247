package retain

import (
	"context"
	"io"
	"time"

	"practicectl/internal/objstore"
)

// LogUntil is how long an object of the log that is stored at now is locked, when any moment of the last window shall be
// restorable: it is needed until the window has passed over it, and the quantum longer, as everything else.
func LogUntil(now time.Time, window time.Duration) time.Time {
	return now.UTC().Add(window + Quantum).Truncate(time.Second)
}

// Locked is a store whose objects are stored locked until the time that until tells at that moment. It is for what is
// stored outside of a run, such as the stream of the log; a run has its [Keeper]. Error of a store without locks:
// objstore.ErrUnsupported.
func Locked(st objstore.Store, until func() time.Time) objstore.Store {
	return lockedStore{st, until}
}

type lockedStore struct {
	objstore.Store
	until func() time.Time
}

// Put stores an object locked.
func (l lockedStore) Put(ctx context.Context, key string, r io.Reader, size int64, o objstore.PutOptions) (objstore.Info, error) {
	o.RetainUntil = l.until()
	return l.Store.Put(ctx, key, r, size, o)
}
