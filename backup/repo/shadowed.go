package repo

import (
	"context"
	"errors"
	"fmt"
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

// ListAll yields the objects under prefix, also those that a delete marker hides, each as its oldest version: the one that was
// created; what came later can only have been put over it. In a store that keeps no versions, or does not tell them, it is a
// plain list. Errors are the store's.
func ListAll(ctx context.Context, st objstore.Store, prefix string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		all, err := listAll(ctx, st, prefix)
		if err != nil {
			yield(objstore.Info{}, err)
			return
		}
		for _, one := range all {
			if !yield(one.Info, nil) {
				return
			}
		}
	}
}

// listed is the oldest version of an object and what lies over it.
type listed struct {
	objstore.Info
	over   int  // newer versions and delete markers
	hidden bool // the newest is a delete marker
}

// shadow says in words what lies over the object; nil: nothing does.
func (l listed) shadow() error {
	switch {
	case l.hidden:
		return errors.New("a delete marker hides it")
	case l.over > 0:
		return fmt.Errorf("%d newer versions lie over it", l.over)
	}
	return nil
}

func listAll(ctx context.Context, st objstore.Store, prefix string) ([]listed, error) {
	out, err := oldestVersions(st.AllVersions(ctx, prefix))
	if err != nil && !errors.Is(err, objstore.ErrUnreachable) && ctx.Err() == nil {
		out, err = oldestVersions(st.List(ctx, prefix))
	}
	return out, err
}

func oldestVersions(all iter.Seq2[objstore.Info, error]) ([]listed, error) {
	var out []listed
	newer := listed{} // delete markers seen of the present key
	for v, err := range all {
		if err != nil {
			return nil, err
		}
		if v.Key != newer.Key {
			newer = listed{Info: objstore.Info{Key: v.Key}, hidden: v.Deleted}
		}
		switch {
		case v.Deleted && len(out) > 0 && out[len(out)-1].Key == v.Key:
			out[len(out)-1].over++
		case v.Deleted:
			newer.over++
		case len(out) > 0 && out[len(out)-1].Key == v.Key:
			out[len(out)-1].Info = v
			out[len(out)-1].over++
		default:
			out = append(out, listed{v, newer.over, newer.hidden})
		}
	}
	slices.SortStableFunc(out, func(a, b listed) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

// readFirst reads the object that was created under a name, for objects which a host signs: whoever has the host's key can put
// another one with a good signature over it, and cannot put it below. Where that does not prove it is ReadProved.
func (r *Repo) readFirst(ctx context.Context, op string, l listed, limit int64, prove func(data []byte) error) ([]byte, error, error) {
	if l.over > 0 && l.Version != "" && l.Size <= limit {
		data, err := readVersion(ctx, r.Store, l.Key, l.Version, l.Size)
		if err == nil && prove(data) == nil {
			return data, l.shadow(), nil
		}
	}
	return r.readProved(ctx, op, l.Key, 0, limit, prove)
}
