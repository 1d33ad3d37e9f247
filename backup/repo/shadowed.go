package repo

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

// In a store that keeps versions, whoever may write can put other bytes or a delete marker over an object, and the object is
// still there below. So what is read is proved, and what does not prove is looked for among the versions. A reader with
// nothing wrong before it asks for nothing more than without all this.

// notProved is an object whose bytes are not what they should be.
type notProved struct{ error }

func (e notProved) Unwrap() error { return e.error }

// proved reads the newest version of key that prove accepts: the newest of all, or else the oldest that it accepts, which is
// what was stored first. Errors are those of the newest version: the store's, or what prove said in a notProved.
func proved(ctx context.Context, st objstore.Store, key string, size, limit int64, prove func(data []byte) error) (data []byte, shadowed error, err error) {
	data, err = ReadSized(ctx, st, key, size, limit)
	if err == nil {
		if err = prove(data); err == nil {
			return data, nil, nil
		}
		err = notProved{err}
	}
	if !mayBeShadowed(err) {
		return nil, nil, err
	}
	for v := range olderVersions(ctx, st, key) {
		if size > 0 && v.Size != size || v.Size > limit {
			continue // spares reading what others piled on top
		}
		data, verr := readVersion(ctx, st, key, v.Version, v.Size)
		if verr == nil && prove(data) == nil {
			return data, err, nil
		}
	}
	return nil, nil, err
}

func mayBeShadowed(err error) bool {
	var bad notProved
	return errors.As(err, &bad) || errors.Is(err, objstore.ErrNotFound) || uerr.KindOf(err) == uerr.Integrity
}

// olderVersions are the versions of key below what is to be seen of it, oldest first. A store that keeps none, or does not tell
// them to this user, has none.
func olderVersions(ctx context.Context, st objstore.Store, key string) iter.Seq[objstore.Info] {
	var all []objstore.Info
	for v, err := range st.Versions(ctx, key) {
		if err != nil {
			break
		}
		all = append(all, v)
	}
	if len(all) > 0 && !all[0].Deleted {
		all = all[1:] // that was read already
	}
	all = slices.DeleteFunc(all, func(v objstore.Info) bool { return v.Deleted || v.Version == "" })
	slices.Reverse(all)
	return slices.Values(all)
}

func readVersion(ctx context.Context, st objstore.Store, key, version string, size int64) ([]byte, error) {
	rc, err := st.GetVersion(ctx, key, version, 0, -1)
	if err != nil {
		return nil, err
	}
	return readAll(rc, size, size)
}

// GenuineVersion finds the version of a pack that its name vouches for, when what is to be seen under the name is another
// object or none: for readers of parts, which notice that only when they open them. ok is false when there is none, or only the
// newest one.
func GenuineVersion(ctx context.Context, st objstore.Store, p StoredPack) (version string, ok bool) {
	prove := Sum(p.ID.String())
	for v := range olderVersions(ctx, st, p.ID.Key()) {
		if v.Size != p.Size {
			continue
		}
		if data, err := readVersion(ctx, st, p.ID.Key(), v.Version, v.Size); err == nil && prove(data) == nil {
			return v.Version, true
		}
	}
	return "", false
}

// ListAll yields the objects under prefix, also those that a delete marker hides, each with the size and the time of its
// oldest version: the one that was created; what came later can only have been put over it. In a store that keeps no versions,
// or does not tell them, it is a plain list. Errors are the store's.
func ListAll(ctx context.Context, st objstore.Store, prefix string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		oldest, err := oldestVersions(ctx, st, prefix)
		if err != nil && (errors.Is(err, objstore.ErrUnreachable) || ctx.Err() != nil) {
			yield(objstore.Info{}, err)
			return
		}
		if err != nil {
			for info, err := range st.List(ctx, prefix) {
				if !yield(info, err) {
					return
				}
			}
			return
		}
		for _, info := range oldest {
			if !yield(info, nil) {
				return
			}
		}
	}
}

func oldestVersions(ctx context.Context, st objstore.Store, prefix string) ([]objstore.Info, error) {
	var out []objstore.Info
	for v, err := range st.AllVersions(ctx, prefix) {
		switch {
		case err != nil:
			return nil, err
		case v.Deleted:
		case len(out) > 0 && out[len(out)-1].Key == v.Key:
			out[len(out)-1] = v
		default:
			out = append(out, v)
		}
	}
	slices.SortStableFunc(out, func(a, b objstore.Info) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}
