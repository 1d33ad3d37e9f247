package repo

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"

	"practicectl/internal/objstore"
	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// Keys is what the holder of a repository's handle may do with it. A backed-up host has Signing, Index and Pin and no
// identity; a restoring machine has identities and nothing else; an auditor has nothing.
type Keys struct {
	Signing    ed25519.PrivateKey
	Index      *IndexKey
	Pin        *Pin
	Identities []age.Identity
	Owner      PublicKey // who must own the repository, where there is no pin; nil: whoever does
}

// Repo is an open repository.
type Repo struct {
	Store       objstore.Store
	Root        Root
	Settings    Settings   // the generation in force
	Generations []Settings // all, the first first
	Recipients  []age.Recipient
	Keys        Keys

	// Others are more stores of the same repository, which are read where Store lacks an object or has it damaged.
	Others []objstore.Store
	// Instead is called, from any goroutine, when one of the others had to be read, with what was wrong; nil: nobody asks.
	Instead func(key string, other objstore.Store, why error)

	keyring keyring
}

const maxDocument = 8 << 20 // bytes of a settings or root object

// Open reads and checks the root and all generations of the settings. With a pin it must be the pinned repository, owner
// and generation. Error kinds: NotFound (no repository there), Unreachable, Auth, Integrity.
func Open(ctx context.Context, st objstore.Store, k Keys) (*Repo, error) {
	const op = "open the backup repository"
	data, err := ReadObject(ctx, st, RootKey, maxDocument)
	if errors.Is(err, objstore.ErrNotFound) {
		return nil, uerr.New(uerr.NotFound, op, st.String(), errors.New("there is no repository"), "check --store, or make one: practicectl backup init")
	}
	if err != nil {
		return nil, StoreError(op, st, RootKey, err)
	}
	r := &Repo{Store: st, Keys: k, keyring: keyring{keys: map[string][]byte{}}}
	if r.Root, err = ParseRoot(data); err != nil {
		return nil, Tampered(op, st, RootKey, err)
	}
	if p := k.Pin; p != nil && (p.Repository != r.Root.ID || !p.Owner.Equal(r.Root.Owner)) {
		return nil, Tampered(op, st, RootKey, errors.New("it is not the repository that this host was set up for"))
	}
	if len(k.Owner) > 0 && !k.Owner.Equal(r.Root.Owner) {
		return nil, Tampered(op, st, RootKey, errors.New("it is another owner's: somebody put it in the place of yours"))
	}
	if err := r.readSettings(ctx, op); err != nil {
		return nil, err
	}
	if r.Recipients, err = sealed.ParseRecipients(r.Settings.Recipients); err != nil {
		return nil, Tampered(op, st, SettingsKey(r.Settings.Generation), err)
	}
	if k.Index != nil && k.Index.Epoch != r.Settings.Epoch {
		return nil, uerr.New(uerr.Auth, op, st.String(), fmt.Errorf("the index key here is of epoch %d and the repository's is of epoch %d", k.Index.Epoch, r.Settings.Epoch), "bring the file that key rotate wrote: practicectl key accept --index-key FILE")
	}
	if r.needsKeyring() {
		if err := r.readKeyring(ctx); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *Repo) readSettings(ctx context.Context, op string) error {
	var previous []byte
	n := 0
	for info, err := range r.Store.List(ctx, SettingsPrefix) {
		if err != nil {
			return StoreError(op, r.Store, SettingsPrefix, err)
		}
		n++
		if info.Key != SettingsKey(n) {
			return Tampered(op, r.Store, info.Key, fmt.Errorf("generation %d of the settings is missing", n))
		}
		data, err := ReadObject(ctx, r.Store, info.Key, maxDocument)
		if err != nil {
			return StoreError(op, r.Store, info.Key, err)
		}
		if r.Settings, err = ParseSettings(data, r.Root, n, previous); err != nil {
			return Tampered(op, r.Store, info.Key, err)
		}
		r.Generations = append(r.Generations, r.Settings)
		if p := r.Keys.Pin; p != nil && p.Generation == n && p.Settings != DocumentSum(data) {
			return Tampered(op, r.Store, info.Key, errors.New("the settings are not those that this host was set up with"))
		}
		previous = data
	}
	switch p := r.Keys.Pin; {
	case n == 0:
		return uerr.New(uerr.NotFound, op, r.Store.String(), errors.New("the repository has no settings: its initialisation was interrupted"), "run the same again: practicectl backup init")
	case p != nil && n < p.Generation:
		return Tampered(op, r.Store, SettingsKey(n), fmt.Errorf("the store went back to generation %d of the settings; this host knows generation %d", n, p.Generation))
	}
	return nil
}

// CheckRecipients compares the recipients of a host's configuration with those that the owner signed. A difference means
// that someone changed one of them. Error kind: Integrity.
func (r *Repo) CheckRecipients(configured []string) error {
	a, b := slices.Clone(configured), slices.Clone(r.Settings.Recipients)
	slices.Sort(a)
	slices.Sort(b)
	if slices.Equal(a, b) {
		return nil
	}
	return uerr.New(uerr.Integrity, "check the recipients", r.Store.String(),
		errors.New("the recipients in the configuration are not those that the owner of the repository signed"),
		"when the owner changed them, take them over: practicectl key accept. When not, find out who changed practice.toml")
}

// CheckCurrent asks the store whether the owner changed the settings since the repository was opened. A writer asks before it
// commits to anything, so that nothing new is sealed to recipients of the past. Error kinds: Precond, Unreachable, Auth.
func (r *Repo) CheckCurrent(ctx context.Context) error {
	next := SettingsKey(r.Settings.Generation + 1)
	_, err := r.Store.Stat(ctx, next)
	switch {
	case errors.Is(err, objstore.ErrNotFound):
		return nil
	case err != nil:
		return StoreError("look for newer settings in", r.Store, next, err)
	}
	return uerr.New(uerr.Precond, "write to", r.Store.String(), errors.New("the owner changed the keys of the repository meanwhile"), "run the same command again")
}

// IndexKey is the index key in force: the host's own, or the one unsealed with an identity.
func (r *Repo) IndexKey() (IndexKey, error) { return r.IndexKeyOf(r.Settings.Epoch) }

// IndexKeyOf is the index key of an epoch, which proves the snapshots of its time.
func (r *Repo) IndexKeyOf(epoch int) (IndexKey, error) {
	const op = "open the index key of"
	if k := r.Keys.Index; k != nil && k.Epoch == epoch {
		return *k, nil
	}
	err := error(uerr.New(uerr.Integrity, "", "", fmt.Errorf("no generation of the settings has an index key of epoch %d", epoch), "practicectl backup verify"))
	for _, s := range slices.Backward(r.Generations) {
		if s.Epoch != epoch {
			continue
		}
		var k IndexKey
		if k, err = s.OpenIndexKey(r.IdentitiesFor(SettingsKey(s.Generation))...); err == nil {
			return k, nil
		}
	}
	return IndexKey{}, uerr.New(uerr.KindOf(err), op, r.Store.String(), err, uerr.HintOf(err))
}

// ReadObject reads a whole object of at most limit bytes. Errors are the store's.
func ReadObject(ctx context.Context, st objstore.Store, key string, limit int64) ([]byte, error) {
	return ReadSized(ctx, st, key, 0, limit)
}

// ReadSized is ReadObject for an object that should have size bytes, so that they are read into one piece of memory.
func ReadSized(ctx context.Context, st objstore.Store, key string, size, limit int64) ([]byte, error) {
	rc, err := st.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	buf.Grow(int(min(size, limit)) + bytes.MinRead)
	_, err = buf.ReadFrom(io.LimitReader(rc, limit+1))
	if err := errors.Join(err, rc.Close()); err != nil {
		return nil, err
	}
	if int64(buf.Len()) > limit {
		return nil, uerr.New(uerr.Integrity, "read", st.String()+" "+key, fmt.Errorf("it is larger than %d bytes", limit), "practicectl backup verify")
	}
	return buf.Bytes(), nil
}

// Create stores data under key unless the key is taken: objstore.ErrExists.
func Create(ctx context.Context, st objstore.Store, key string, data []byte) error {
	_, err := st.Put(ctx, key, bytes.NewReader(data), int64(len(data)), objstore.PutOptions{IfAbsent: true})
	return err
}
