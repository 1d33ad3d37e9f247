package retain

import (
	"context"
	"time"

	"practicectl/internal/objstore"
)

// Extend locks objects at least until the given time; those that are locked for longer stay so. Error kinds: WeakLock (the store
// has no locks), Integrity (an object is not there), Auth, Unreachable.
func Extend(ctx context.Context, st objstore.Store, keys []string, until time.Time) error {
	until = until.UTC().Truncate(time.Second)
	k := &Keeper{Store: st, until: until, due: until, known: map[string]lock{}}
	return k.Extend(ctx, keys)
}
