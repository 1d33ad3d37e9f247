// Package collect removes what no snapshot needs any more, without a key that opens anything.
//
// It works in two phases. First a signed list of what nobody refers to is stored (t/<id>); from then on every writer takes
// what it names for not stored. When the grace period is over by the store's clock, all headers are read again, and what is
// named and still not referred to is removed. A run that was under way when the list appeared has committed by then: it gives
// up when it is older than half of the grace period.
//
// Whoever has the host's keys can lie to it, so nothing is removed because somebody says so: a forged list names what the
// headers save, and a forged header only saves more.
package collect

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"practicectl/backup/repo"
	"practicectl/backup/retain"
	"practicectl/internal/uerr"
)

const day = 24 * time.Hour

// Grace is how old an object must be, and how long a list must have lain in the store, before something is removed.
const Grace = 7 * day

// LongestRun is how long a run may take to commit; see the comment of the package.
const LongestRun = Grace / 2

// Options of a collection.
type Options struct {
	Policy retain.Policy
	Log    time.Duration // any moment of so long a time stays restorable
	Accept []string      // names of doubts (see [retain.Doubt]) that a person decided to accept
	Drop   []string      // keys of snapshots that cannot be trusted and that a person decided to give up
	Now    func() time.Time
	Crash  func(point string) // called at the points where a crash is interesting; nil: none
}

// Points are the names that Options.Crash is called with; the third comes for each object.
var Points = []string{"lease taken", "snapshot forgotten", "object removed", "list removed", "list stored", "lease given back"}

// Absent reads the lists of garbage and returns the packs that a writer must take for not stored. It must be called before the
// writer lists the packs: a list that is gone by then is one whose packs are gone. Lists that are none are ignored.
func Absent(ctx context.Context, r *repo.Repo) (map[repo.PackID]bool, error) {
	lists, err := readLists(ctx, r)
	out := map[repo.PackID]bool{}
	for _, l := range lists {
		l.Absent(out)
	}
	return out, err
}

// list is a list of garbage as it is stored.
type list struct {
	repo.Tombstones
	key    string
	stored time.Time // of the newest version: an older one could have been something else
}

// readLists reads all lists that a writer signed, oldest first. Error kinds: Auth, Unreachable.
func readLists(ctx context.Context, r *repo.Repo) ([]list, error) {
	const op = "read the lists of garbage in"
	there, err := everything(ctx, r.Store, repo.TombstonePrefix)
	if err != nil {
		return nil, err
	}
	var out []list
	for _, key := range slices.Sorted(maps.Keys(there)) {
		l := list{key: key, stored: there[key].modified}
		_, err := r.ReadProved(ctx, op, key, 0, maxList, func(data []byte) (err error) {
			l.Tombstones, err = repo.ParseTombstones(key, data, r.Settings)
			return err
		})
		switch {
		case uerr.KindOf(err) == uerr.Integrity:
		case err != nil:
			return nil, err
		default:
			out = append(out, l)
		}
	}
	slices.SortStableFunc(out, func(a, b list) int { return a.stored.Compare(b.stored) })
	return out, nil
}

const (
	maxList     = 8 << 20 // bytes of a list
	maxListKeys = 50_000
)

// collectable tells whether objects under such a key are ever removed.
func collectable(key string) bool {
	for _, prefix := range []string{repo.PackPrefix, repo.PackListPrefix, repo.IndexPrefix, repo.WALPrefix} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}
