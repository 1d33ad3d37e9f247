package custody

import (
	"context"
	"maps"
	"slices"
	"time"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/progress"
)

// RotateOptions says how a rotation is done.
type RotateOptions struct {
	LeaveDamaged bool // go on without objects that are damaged
	// KeepIndexKey makes the index key of a new epoch durable before it is in force. It returns the key to use: an interrupted
	// rotation may have kept one.
	KeepIndexKey func(repo.IndexKey) (repo.IndexKey, error)
	Clock        func() time.Time
}

// passes bounds how often a rotation looks for objects that hosts stored while it ran.
const passes = 3

// Rotate makes a generation with other recipients and a keyring that opens to them everything that is stored. The keyring is
// stored first: whenever a rotation ends, either the old settings hold, or the new ones do and are complete. Then objects that a
// host stored meanwhile for the old recipients are handed on too, in a generation of their own. The same call finishes a rotation
// that was cut off. Error kinds: Auth (identities), Integrity, Precond, Unreachable, NoSpace.
func Rotate(ctx context.Context, r *repo.Repo, p Plan, o RotateOptions, pr progress.Reporter) (Report, error) {
	began := o.Clock()
	rep := Report{Plan: p, Left: []string{}}
	err := rep.rotate(ctx, r, o, pr)
	rep.Seconds = o.Clock().Sub(began).Seconds()
	return rep, err
}

func (rep *Report) rotate(ctx context.Context, r *repo.Repo, o RotateOptions, pr progress.Reporter) error {
	key, err := r.IndexKey()
	if err == nil && rep.Epoch != key.Epoch {
		key, err = newEpoch(rep.Epoch, o)
	}
	if err != nil {
		return err
	}
	st, err := lockedLike(ctx, r.Store, repo.RootKey)
	if err != nil {
		return err
	}
	if !rep.HandOn {
		if !rep.Changes() {
			return nil
		}
		return rep.settle(ctx, r, st, key, nil)
	}
	if err := r.LoadKeyring(ctx); err != nil {
		return err
	}
	g := newGathering(r)
	g.settings(rep.Recipients)
	fresh := rep.Changes() || !serves(r, rep.Recipients) // a whole keyring; else what is missing in the one in force
	for pass := range passes {
		before := map[string][]byte{}
		if pass > 0 {
			before = maps.Clone(g.keys)
		}
		if err := g.all(ctx, pr); err != nil {
			return err
		}
		if pass == 0 {
			if rep.Left, err = g.verdict(ctx, o.LeaveDamaged); err != nil {
				return err
			}
		}
		rep.HandedOn, rep.Headers = len(g.keys), g.headers
		add := without(g.keys, before)
		if pass == 0 && !fresh {
			add = without(add, r.Handed())
		}
		if len(add) == 0 && (pass > 0 || !fresh) {
			return nil
		}
		segments, err := rep.store(ctx, st, add, r.Settings.Generation+1)
		if err != nil {
			return err
		}
		if pass > 0 || !fresh {
			segments = append(slices.Clone(r.Settings.Keyring), segments...)
		}
		if err := rep.settle(ctx, r, st, key, segments); err != nil {
			return err
		}
		// What could not be opened from here on was stored for the new recipients.
		if r, err = repo.Open(ctx, r.Store, repo.Keys{Identities: r.Keys.Identities, Owner: r.Root.Owner}); err != nil {
			return err
		}
		g.repo, g.failed = r, map[string]error{}
	}
	return nil
}

// serves tells whether the keyring in force is whole and sealed to all of the recipients.
func serves(r *repo.Repo, recipients []string) bool {
	if r.KeyringBroken() != nil {
		return false
	}
	for _, segment := range r.Settings.Keyring {
		if segment.Generation < 1 || segment.Generation > len(r.Generations) {
			return false
		}
		sealedTo := r.Generations[segment.Generation-1].Recipients
		if slices.ContainsFunc(recipients, func(name string) bool { return !slices.Contains(sealedTo, name) }) {
			return false
		}
	}
	return true
}

// store writes keys as segments of a keyring.
func (rep *Report) store(ctx context.Context, st objstore.Store, keys map[string][]byte, generation int) ([]repo.KeyringSegment, error) {
	var out []repo.KeyringSegment
	for objects := range slices.Chunk(slices.Sorted(maps.Keys(keys)), repo.MaxKeyringKeys) {
		part := make(map[string][]byte, len(objects))
		for _, object := range objects {
			part[object] = keys[object]
		}
		segment, data, err := repo.SealKeyring(part, rep.recipients)
		if err != nil {
			return nil, err
		}
		if err := create(ctx, st, segment.Key(), data); err != nil {
			return nil, err
		}
		segment.Generation = generation
		out = append(out, segment)
		rep.Uploaded += segment.Size
	}
	return out, nil
}

func newEpoch(epoch int, o RotateOptions) (repo.IndexKey, error) {
	key, err := repo.NewIndexKey(epoch)
	if err != nil || o.KeepIndexKey == nil {
		return key, err
	}
	return o.KeepIndexKey(key)
}

// without are the keys of all that are not in some.
func without(all, some map[string][]byte) map[string][]byte {
	out := map[string][]byte{}
	for object, key := range all {
		if _, ok := some[object]; !ok {
			out[object] = key
		}
	}
	return out
}
