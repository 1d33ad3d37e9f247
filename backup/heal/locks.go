package heal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"practicectl/backup/repo"
	"practicectl/backup/retain"
	"practicectl/internal/uerr"
)

// lockers are the keepers for a snapshot of class c begun at created: each side locks what it gets until the same time as the store
// that the snapshot was taken into would have. A time that is over locks nothing.
func (j *job) lockers(created time.Time, c retain.Class) (lockers, error) {
	var l lockers
	for i, side := range j.sides {
		if !side.Locks || j.o.Plan || i == 0 && !j.both {
			continue
		}
		if err := os.MkdirAll(side.Cache, 0o750); err != nil {
			return l, uerr.New(uerr.Precond, "make the folder for what is known about", side.Store.String(), err, "")
		}
		k := retain.Open(side.Store, j.repo.Root.ID, c, created, side.Cache)
		if k.Until().After(j.o.Now()) {
			l[i] = k
		}
	}
	return l, nil
}

// keep locks what the snapshot needs for as long as its class promises, wherever it lies already.
func (j *job) keep(ctx context.Context, l lockers, h repo.Header, need []object) error {
	keys := j.repo.Foundation()
	for _, name := range h.PackLists {
		keys = append(keys, repo.PackListPrefix+name)
	}
	for _, o := range need {
		keys = append(keys, o.key)
	}
	for i, k := range l {
		if k == nil {
			continue
		}
		if err := k.Extend(ctx, keys); err != nil {
			return fmt.Errorf("copy the snapshot %.12s to %s: %w", h.ID, j.sides[i].Name, err)
		}
	}
	return nil
}

func (l lockers) save() error {
	var errs []error
	for _, k := range l {
		if k != nil {
			errs = append(errs, k.Save())
		}
	}
	return errors.Join(errs...)
}
