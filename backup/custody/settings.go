package custody

import (
	"bytes"
	"context"
	"errors"
	"time"

	"practicectl/backup/repo"
	"practicectl/backup/retain"
	"practicectl/internal/objstore"
	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// Report is what a change did.
type Report struct {
	Plan
	Fingerprint string   `json:"fingerprint,omitempty"` // of the settings; each host confirms it: key accept
	HandedOn    int      `json:"handed_on"`             // objects that the keyring opens to the new recipients
	Headers     int      `json:"headers"`               // objects whose headers were read for that
	Uploaded    int64    `json:"uploaded"`              // bytes
	Left        []string `json:"left"`                  // objects that nobody needs, or that are damaged, and that were not handed on
	Seconds     float64  `json:"seconds"`
}

// Add makes a generation with more recipients. It reads and uploads nothing else: what is stored before stays closed to them.
// The index key is the host's, or comes from an identity. Error kinds: Auth, Precond (another change was made at the same time),
// Unreachable.
func Add(ctx context.Context, r *repo.Repo, p Plan) (Report, error) {
	rep := Report{Plan: p, Left: []string{}}
	if !p.Changes() {
		return rep, nil
	}
	key, err := r.IndexKey()
	if err != nil {
		return rep, err
	}
	st, err := lockedLike(ctx, r.Store, repo.RootKey)
	if err != nil {
		return rep, err
	}
	return rep, rep.settle(ctx, r, st, key, r.Settings.Keyring)
}

// settle writes the next generation: the one commit point of a change.
func (rep *Report) settle(ctx context.Context, r *repo.Repo, st objstore.Store, key repo.IndexKey, keyring []repo.KeyringSegment) error {
	next := r.Settings
	plain, err := key.Encode()
	if err != nil {
		return err
	}
	if next.IndexKey, err = sealed.SealBytes(plain, rep.recipients...); err != nil {
		return err
	}
	next.Generation++
	next.Previous, next.Created = r.SettingsSum, rep.now
	next.Recipients, next.Epoch, next.IndexCheck, next.Keyring = rep.Recipients, key.Epoch, key.Check(), keyring
	data, err := rep.sign(next)
	if err != nil {
		return err
	}
	object := repo.SettingsKey(next.Generation)
	if err := create(ctx, st, object, data); err != nil {
		return err
	}
	rep.Generation, rep.Fingerprint = next.Generation, sealed.Fingerprint(repo.DocumentSum(data))
	rep.Uploaded += int64(len(data))
	return nil
}

// create stores an object that nobody else may have stored. That it is there already with the same bytes is the answer that got
// lost.
func create(ctx context.Context, st objstore.Store, key string, data []byte) error {
	err := repo.Create(ctx, st, key, data)
	if errors.Is(err, objstore.ErrExists) {
		have, err := repo.ReadObject(ctx, st, key, int64(len(data)))
		if err == nil && bytes.Equal(have, data) {
			return nil
		}
		return uerr.New(uerr.Precond, op, st.String()+" "+key, errors.New("somebody else changed the settings at the same time"), "look at them, then run the same command again: practicectl key list")
	}
	return repo.StoreError(op, st, key, err)
}

// lockedLike is the store with everything locked for as long as the object key is.
func lockedLike(ctx context.Context, st objstore.Store, key string) (objstore.Store, error) {
	info, err := st.Stat(ctx, key)
	if err != nil {
		return nil, repo.StoreError(op, st, key, err)
	}
	if info.RetainUntil.IsZero() {
		return st, nil
	}
	return retain.Locked(st, func() time.Time { return info.RetainUntil }), nil
}
