package collect

import (
	"context"
	"errors"
	"time"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
)

// object is everything that a store has under a key.
type object struct {
	size     int64     // bytes of all versions
	modified time.Time // when the newest version, or delete marker, came
	versions []objstore.Info
}

// everything lists what is under prefix, with all versions where the store tells them.
func everything(ctx context.Context, st objstore.Store, prefix string) (map[string]*object, error) {
	out, err := gather(st.AllVersions(ctx, prefix))
	if err != nil && !errors.Is(err, objstore.ErrUnreachable) && ctx.Err() == nil {
		out, err = gather(st.List(ctx, prefix)) // a service that has no versions, or does not tell them to this user
	}
	if err != nil {
		return nil, repo.StoreError("list", st, prefix, err)
	}
	return out, nil
}

func gather(all func(yield func(objstore.Info, error) bool)) (map[string]*object, error) {
	out := map[string]*object{}
	for info, err := range all {
		if err != nil {
			return nil, err
		}
		o := out[info.Key]
		if o == nil {
			o = &object{}
			out[info.Key] = o
		}
		o.size += info.Size
		o.versions = append(o.versions, info)
		if info.Modified.After(o.modified) {
			o.modified = info.Modified
		}
	}
	return out, nil
}

// remove removes all versions of an object, the newest first, so that what was stored first is the last to go. removed is false
// when the store keeps some: it is locked, or this host may not.
func (o *object) remove(ctx context.Context, st objstore.Store) (removed bool, err error) {
	removed = true
	for _, v := range o.versions {
		err := st.DeleteVersion(ctx, v.Key, v.Version)
		switch {
		case errors.Is(err, objstore.ErrLocked), errors.Is(err, objstore.ErrAuth):
			removed = false
		case err != nil:
			return false, repo.StoreError("remove", st, v.Key, err)
		}
	}
	return removed, nil
}
