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
	SettingsSum string     // SHA-256 of its object
	Generations []Settings // all, the first first
	Recipients  []age.Recipient
	Keys        Keys

	// Others are more stores of the same repository, which are read where Store lacks an object or has it damaged.
	Others []objstore.Store
	// Instead is called, from any goroutine, when one of the others had to be read, with what was wrong; nil: nobody asks.
	Instead func(key string, other objstore.Store, why error)
	// Shadowed is called, from any goroutine, when an object was found below a newer version that is not it; nil: nobody asks.
	Shadowed func(key string, why error)
	// Ignored is what lies under the names of later settings and is none: whoever can write can put it there.
	Ignored []error

	settings []byte // the object of the last generation
	keyring  keyring
}

const maxDocument = 8 << 20 // bytes of a settings or root object

// Open reads and checks the root and all generations of the settings. With a pin it must be the pinned repository, owner
// and generation. Error kinds: NotFound (no repository there), Unreachable, Auth, Integrity.
func Open(ctx context.Context, st objstore.Store, k Keys) (*Repo, error) {
	const op = "open the backup repository"
	if k.Pin != nil && k.Pin.Unconditional {
		st = objstore.CheckFirst(st)
	}
	r := &Repo{Store: st, Keys: k, keyring: keyring{keys: map[string][]byte{}}}
	_, _, err := proved(ctx, st, RootKey, 0, maxDocument, func(data []byte) (err error) {
		r.Root, err = ParseRoot(data)
		return errors.Join(err, k.expects(r.Root))
	})
	var bad notProved
	switch {
	case errors.Is(err, objstore.ErrNotFound):
		return nil, uerr.New(uerr.NotFound, op, st.String(), errors.New("there is no repository"), "check --store, or make one: practicectl backup init")
	case errors.As(err, &bad):
		return nil, Tampered(op, st, RootKey, bad.error)
	case err != nil:
		return nil, StoreError(op, st, RootKey, err)
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

// expects refuses a root that is whole and another one than was meant.
func (k Keys) expects(root Root) error {
	if p := k.Pin; p != nil && (p.Repository != root.ID || !p.Owner.Equal(root.Owner)) {
		return errors.New("it is not the repository that this host was set up for")
	}
	if len(k.Owner) > 0 && !k.Owner.Equal(root.Owner) {
		return errors.New("it is another owner's: somebody put it in the place of yours")
	}
	return nil
}

// readSettings reads the generations in order. What lies under the name of a later one and does not prove is ignored, with all
// after it: an attacker without the owner key could as well have deleted it, and must not stop backups and restores with it.
func (r *Repo) readSettings(ctx context.Context, op string) error {
	pinned := 1
	if r.Keys.Pin != nil {
		pinned = max(pinned, r.Keys.Pin.Generation)
	}
	there := map[string]bool{}
	for info, err := range ListAll(ctx, r.Store, SettingsPrefix) {
		if err != nil {
			return StoreError(op, r.Store, SettingsPrefix, err)
		}
		there[info.Key] = true
	}
	var previous []byte
	n := 1
	for ; there[SettingsKey(n)]; n++ {
		data, err := r.ReadProved(ctx, op, SettingsKey(n), 0, maxDocument, func(data []byte) error {
			s, err := ParseSettings(data, r.Root, n, previous)
			if p := r.Keys.Pin; err == nil && p != nil && p.Generation == n && p.Settings != DocumentSum(data) {
				err = errors.New("the settings are not those that this host was set up with")
			}
			if err == nil {
				r.Settings = s
			}
			return err
		})
		if uerr.KindOf(err) == uerr.Integrity && n > pinned {
			r.Ignored = append(r.Ignored, err)
			break
		}
		if err != nil {
			return err
		}
		r.Generations = append(r.Generations, r.Settings)
		previous = data
		r.SettingsSum = DocumentSum(data)
	}
	r.settings = previous
	if len(there) >= n && len(r.Ignored) == 0 {
		r.Ignored = append(r.Ignored, Tampered(op, r.Store, SettingsKey(n), errors.New("this generation of the settings is missing, and there are later ones")))
	}
	switch {
	case n > pinned:
		return nil
	case len(there) > 0 && !there[SettingsKey(1)]:
		return Tampered(op, r.Store, SettingsKey(1), errors.New("the first generation of the settings is missing"))
	case n == 1:
		return uerr.New(uerr.NotFound, op, r.Store.String(), errors.New("the repository has no settings: its initialisation was interrupted"), "run the same again: practicectl backup init")
	}
	return Tampered(op, r.Store, SettingsKey(n), fmt.Errorf("the store went back to generation %d of the settings; this host knows generation %d", n-1, pinned))
}

// Foundation are the objects without which nobody opens anything, in the order in which they are stored: the root, the keyring, the
// settings.
func (r *Repo) Foundation() []string {
	keys := []string{RootKey}
	for _, segment := range r.Settings.Keyring {
		keys = append(keys, segment.Key())
	}
	for _, s := range r.Generations {
		keys = append(keys, SettingsKey(s.Generation))
	}
	return keys
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

// ErrNewSettings is why a writer must open the repository again.
var ErrNewSettings = errors.New("the owner changed the keys of the repository meanwhile")

// CheckCurrent asks the store whether the owner changed the settings since the repository was opened. A writer asks before it
// commits to anything, so that nothing new is sealed to recipients of the past. Error kinds: Precond (ErrNewSettings), Unreachable,
// Auth.
func (r *Repo) CheckCurrent(ctx context.Context) error {
	const op = "look for newer settings in"
	n := r.Settings.Generation + 1
	_, err := r.Store.Stat(ctx, SettingsKey(n))
	switch {
	case errors.Is(err, objstore.ErrNotFound):
		return nil
	case err != nil:
		return StoreError(op, r.Store, SettingsKey(n), err)
	}
	_, err = r.ReadProved(ctx, op, SettingsKey(n), 0, maxDocument, func(data []byte) error {
		_, err := ParseSettings(data, r.Root, n, r.settings)
		return err
	})
	switch {
	case uerr.KindOf(err) == uerr.Integrity:
		return nil // not the owner's: see readSettings
	case err != nil:
		return err
	}
	return uerr.New(uerr.Precond, "write to", r.Store.String(), ErrNewSettings, "run the same command again")
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

// ReadHead reads the first n bytes of an object. Errors are the store's.
func ReadHead(ctx context.Context, st objstore.Store, key string, n int64) ([]byte, error) {
	rc, err := st.Get(ctx, key, 0, n)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(rc, n))
	return data, errors.Join(err, rc.Close())
}

// ReadSized is ReadObject for an object that should have size bytes, so that they are read into one piece of memory.
func ReadSized(ctx context.Context, st objstore.Store, key string, size, limit int64) ([]byte, error) {
	rc, err := st.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	data, err := readAll(rc, size, limit)
	if errors.Is(err, errTooLarge) {
		return nil, uerr.New(uerr.Integrity, "read", st.String()+" "+key, fmt.Errorf("it is larger than %d bytes", limit), "practicectl backup verify")
	}
	return data, err
}

var errTooLarge = errors.New("it is larger than it may be")

// readAll reads about size bytes, at most limit, and closes rc.
func readAll(rc io.ReadCloser, size, limit int64) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(int(min(size, limit)) + bytes.MinRead)
	_, err := buf.ReadFrom(io.LimitReader(rc, limit+1))
	if err := errors.Join(err, rc.Close()); err != nil {
		return nil, err
	}
	if int64(buf.Len()) > limit {
		return nil, errTooLarge
	}
	return buf.Bytes(), nil
}

// Create stores data under key unless the key is taken: objstore.ErrExists.
func Create(ctx context.Context, st objstore.Store, key string, data []byte) error {
	_, err := st.Put(ctx, key, bytes.NewReader(data), int64(len(data)), objstore.PutOptions{IfAbsent: true})
	return err
}
