package backup

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// InitOptions says whose repository is made.
type InitOptions struct {
	Host       string   // name of the first host that writes
	Recipients []string // at least two, so that one lost identity does not lose the backups
	Now        time.Time
	ObjectLock bool // the store enforces locks: every run locks what it stores
	// Unconditional: the store does not honour conditions on a write, so that whoever writes looks first.
	Unconditional bool
}

// Material is the keys of a new repository. Owner must leave the host.
type Material struct {
	Owner   ed25519.PrivateKey // signs changes of the settings; belongs offline, beside the identities
	Signing ed25519.PrivateKey // signs this host's snapshots
	Index   repo.IndexKey      // finds what is stored already; opens no pack
	Pin     repo.Pin           // which repository this host writes to
}

// CheckInit refuses what [Init] would refuse, without touching a store. Error kinds: Config (recipients), Usage (host).
func CheckInit(o InitOptions) error {
	const op = "make a backup repository"
	if len(o.Recipients) < 2 {
		return uerr.New(uerr.Usage, op, "", fmt.Errorf("it needs at least two recipients and has %d: one lost identity must not lose the backups", len(o.Recipients)),
			"make a second identity on another medium (practicectl key generate --out FILE) and give --recipient twice")
	}
	if _, err := sealed.ParseRecipients(o.Recipients); err != nil {
		return err
	}
	if err := repo.CheckHost(o.Host); err != nil {
		return uerr.New(uerr.Usage, op, "", err, "give another name with --host")
	}
	return nil
}

// NewMaterial makes the keys of a repository. The caller makes them durable before [Init] uses them, so that a crash
// between the two leaves keys without a repository and never a repository without keys.
func NewMaterial(o InitOptions) (Material, error) {
	if err := CheckInit(o); err != nil {
		return Material{}, err
	}
	var m Material
	var id [16]byte
	_, err := rand.Read(id[:])
	if err == nil {
		m.Owner, err = repo.NewSigningKey()
	}
	if err == nil {
		m.Signing, err = repo.NewSigningKey()
	}
	if err == nil {
		m.Index, err = repo.NewIndexKey(1)
	}
	if err != nil {
		return m, err
	}
	m.Pin = repo.Pin{Repository: hex.EncodeToString(id[:]), Owner: repo.PublicOf(m.Owner), Host: o.Host, Generation: 1}
	return m, nil
}

// Init makes a repository in an empty store and returns the pin to keep. Running it again with the same material
// finishes what was interrupted. Error kinds: LossGuard (another repository is there), Auth, Unreachable, NoSpace.
func Init(ctx context.Context, st objstore.Store, m Material, o InitOptions) (repo.Pin, error) {
	const op = "make a backup repository in"
	recipients, err := sealed.ParseRecipients(o.Recipients)
	if err != nil {
		return repo.Pin{}, err
	}
	exists := func(key string) error {
		return uerr.New(uerr.LossGuard, op, st.String(), errors.New("there is a repository already ("+key+")"), "use it: practicectl backup list --store …, or name another store or prefix")
	}
	if o.Unconditional {
		st = objstore.CheckFirst(st)
	}
	now := o.Now.UTC().Truncate(time.Second)
	root, err := repo.SignRoot(repo.Root{Format: repo.Format, ID: m.Pin.Repository, Created: now, Owner: m.Pin.Owner}, m.Owner)
	if err != nil {
		return repo.Pin{}, err
	}
	plain, err := m.Index.Encode()
	if err != nil {
		return repo.Pin{}, err
	}
	index, err := sealed.SealBytes(plain, recipients...)
	if err != nil {
		return repo.Pin{}, err
	}
	settings, err := repo.SignSettings(repo.Settings{
		Format: repo.Format, Repository: m.Pin.Repository, Generation: 1, Created: now, Recipients: o.Recipients, Epoch: m.Index.Epoch,
		IndexKey: index, IndexCheck: m.Index.Check(), Writers: []repo.Writer{{Host: o.Host, Key: repo.PublicOf(m.Signing)}},
	}, m.Owner)
	if err != nil {
		return repo.Pin{}, err
	}
	// The root comes first: it is what a second init must meet. Settings without a root belong to nobody.
	for _, object := range []struct {
		key  string
		data *[]byte
	}{{repo.RootKey, &root}, {repo.SettingsKey(1), &settings}} {
		err := repo.Create(ctx, st, object.key, *object.data)
		if errors.Is(err, objstore.ErrExists) {
			if *object.data, err = repo.ReadObject(ctx, st, object.key, 1<<20); err == nil && !ours(m, root) {
				return repo.Pin{}, exists(object.key)
			}
		}
		if err != nil {
			return repo.Pin{}, repo.StoreError(op, st, object.key, err)
		}
	}
	pin := m.Pin
	pin.Settings, pin.ObjectLock, pin.Unconditional = repo.DocumentSum(settings), o.ObjectLock, o.Unconditional
	return pin, nil
}

// ours tells whether the root was written by an earlier run with the same material.
func ours(m Material, root []byte) bool {
	have, err := repo.ParseRoot(root)
	return err == nil && have.ID == m.Pin.Repository && have.Owner.Equal(m.Pin.Owner)
}
