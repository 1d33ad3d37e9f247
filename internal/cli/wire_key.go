package cli

import (
	"context"
	"crypto/ed25519"
	"errors"

	"practicectl/backup"
)

// openAsOwner opens a repository to change its settings. On the host itself its pin and, where no identity was given, its index key
// are used.
func (r *run) openAsOwner(ctx context.Context, o ownerFlags) (*backup.Repo, ed25519.PrivateKey, error) {
	if o.ownerKey == "" {
		return nil, nil, usageError(r.cmd, errors.New("--owner-key FILE is needed: it signs the change"))
	}
	owner, err := backup.LoadOwner(o.ownerKey)
	if err != nil {
		return nil, nil, err
	}
	b, err := o.section(r)
	if err != nil {
		return nil, nil, err
	}
	ids, err := o.load(r)
	if err != nil {
		return nil, nil, err
	}
	st, err := r.openStore(b, false)
	if err != nil {
		return nil, nil, err
	}
	k := backup.Keys{Identities: ids}
	if o.store == "" {
		own, err := r.hostKeys()
		if err != nil {
			return nil, nil, err
		}
		k.Pin = own.Pin
		if len(ids) == 0 {
			k.Index = own.Index
		}
	}
	repository, err := backup.Open(ctx, st, k)
	return repository, owner, err
}
