package backup

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"practicectl/backup/repo"
	"practicectl/internal/atomicfile"
	"practicectl/internal/diskspace"
	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

// Files of a host's credential folder.
const (
	signingFile = "backup-signing.key"
	indexFile   = "backup-index.key"
	pinFile     = "backup-repository.json"
	pendingFile = "backup-setup.pending"
)

// SetupOptions says where the keys of a new repository go.
type SetupOptions struct {
	InitOptions
	Credentials string // folder of the host's own secrets, which exists
	OwnerKey    string // new file for the owner key; it must leave this host
	// Configure is called when the repository is made, before this host counts as set up; nil: nothing to do.
	Configure func() error
}

// Setup makes a repository and the keys to it: first the owner key and the host's keys, durable, then the repository. When
// it is interrupted, the same call finishes. Error kinds: LossGuard (this host or this store has a repository already),
// Usage, Config, Precond, Auth, Unreachable, NoSpace.
func Setup(ctx context.Context, st objstore.Store, o SetupOptions) (repo.Pin, error) {
	const op = "make a backup repository"
	if err := CheckInit(o.InitOptions); err != nil {
		return repo.Pin{}, err
	}
	var m Material
	k, err := LoadKeys(o.Credentials)
	switch {
	case err == nil && k.Pin.Settings != "":
		return repo.Pin{}, uerr.New(uerr.LossGuard, op, st.String(), errors.New("this instance has a repository already"),
			"use it: practicectl backup run. To begin another one, move "+filepath.Join(o.Credentials, "backup-*")+" away first")
	case err == nil:
		m, err = resume(k, o.OwnerKey)
	case uerr.KindOf(err) == uerr.NotFound:
		m, err = begin(o)
	}
	if err != nil {
		return repo.Pin{}, err
	}
	pin, err := Init(ctx, st, m, o.InitOptions)
	if err != nil {
		return repo.Pin{}, err
	}
	if o.Configure != nil {
		if err := o.Configure(); err != nil {
			return repo.Pin{}, err
		}
	}
	return pin, savePin(o.Credentials, pin)
}

// begin makes the keys. The pin comes last: while it is missing, the other files are worth nothing.
func begin(o SetupOptions) (Material, error) {
	m, err := NewMaterial(o.InitOptions)
	if err != nil {
		return m, err
	}
	pending := filepath.Join(o.Credentials, pendingFile)
	if _, err := os.Lstat(o.OwnerKey); err == nil && !announced(pending, o.OwnerKey) {
		return m, uerr.New(uerr.LossGuard, "write the owner key", o.OwnerKey, errors.New("the file exists already, and a key is never overwritten"), "name another file with --owner-key-out")
	}
	owner, err := repo.EncodeSigningKey(m.Owner)
	if err != nil {
		return m, err
	}
	signing, err := repo.EncodeSigningKey(m.Signing)
	if err != nil {
		return m, err
	}
	index, err := m.Index.Encode()
	if err != nil {
		return m, err
	}
	for _, f := range []struct {
		path string
		data []byte
	}{{pending, announcement(o.OwnerKey, owner)}, {o.OwnerKey, owner}, {filepath.Join(o.Credentials, signingFile), signing}, {filepath.Join(o.Credentials, indexFile), index}} {
		if err := writeKey(f.path, f.data); err != nil {
			return m, err
		}
	}
	if err := savePin(o.Credentials, m.Pin); err != nil {
		return m, err
	}
	return m, os.Remove(pending)
}

// announcement says, before an owner key is written, where it goes and what it is. A setup that is interrupted before the
// pin is there can so be told from a key that somebody else put there: it signed nothing yet and may be replaced.
func announcement(path string, owner []byte) []byte {
	sum := sha256.Sum256(owner)
	return fmt.Appendf(nil, "%s\n%x\n", path, sum)
}

func announced(pending, path string) bool {
	said, err := os.ReadFile(pending)
	if err != nil {
		return false
	}
	owner, err := os.ReadFile(path)
	return err == nil && bytes.Equal(said, announcement(path, owner))
}

// resume takes up the keys of an interrupted setup.
func resume(k Keys, ownerFile string) (Material, error) {
	data, err := os.ReadFile(ownerFile)
	if err != nil {
		return Material{}, uerr.New(uerr.Precond, "finish the interrupted setup with the owner key", ownerFile, err, "give the same --owner-key-out as the first time")
	}
	owner, err := repo.ParseSigningKey(data)
	if err != nil || !k.Pin.Owner.Equal(repo.PublicOf(owner)) {
		return Material{}, uerr.New(uerr.Auth, "finish the interrupted setup with the owner key", ownerFile, errors.Join(err, errors.New("it is not the owner key of that setup")), "give the same --owner-key-out as the first time")
	}
	return Material{Owner: owner, Signing: k.Signing, Index: *k.Index, Pin: *k.Pin}, nil
}

// LoadOwner reads the owner key that [Setup] wrote. Error kinds: Precond, Auth.
func LoadOwner(ownerFile string) (ed25519.PrivateKey, error) {
	const op, hint = "read the owner key", "give the file that practicectl backup init wrote to --owner-key-out"
	data, err := os.ReadFile(ownerFile)
	if err != nil {
		return nil, uerr.New(uerr.Precond, op, ownerFile, err, hint)
	}
	key, err := repo.ParseSigningKey(data)
	if err != nil {
		return nil, uerr.New(uerr.Auth, op, ownerFile, err, hint)
	}
	return key, nil
}

// OwnerOf is the public half of an owner key, which a restore on a new machine compares with the repository's: recipients are no
// secret, so anybody could fill a store with a database of their own for them. Error kinds: Precond, Auth.
func OwnerOf(ownerFile string) (repo.PublicKey, error) {
	key, err := LoadOwner(ownerFile)
	if err != nil {
		return nil, err
	}
	return repo.PublicOf(key), nil
}

// PinPath is the file in a host's credential folder that says which repository is the host's; it is there since that was made.
func PinPath(credentials string) string { return filepath.Join(credentials, pinFile) }

// LoadKeys reads the keys of a host from its credential folder. Error kinds: NotFound (no repository was made), Integrity.
func LoadKeys(credentials string) (Keys, error) {
	const op = "read the backup keys in"
	data, err := os.ReadFile(filepath.Join(credentials, pinFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Keys{}, uerr.New(uerr.NotFound, op, credentials, errors.New("this instance has no backup repository"), "practicectl backup init")
	}
	var k Keys
	var pin repo.Pin
	var index repo.IndexKey
	if err == nil {
		err = json.Unmarshal(data, &pin)
	}
	if err == nil {
		data, err = os.ReadFile(filepath.Join(credentials, signingFile))
	}
	if err == nil {
		k.Signing, err = repo.ParseSigningKey(data)
	}
	if err == nil {
		data, err = os.ReadFile(filepath.Join(credentials, indexFile))
	}
	if err == nil {
		index, err = repo.ParseIndexKey(data)
	}
	if err != nil {
		return Keys{}, uerr.New(uerr.Integrity, op, credentials, err, "bring the files back from a snapshot: practicectl restore run latest --identity FILE --target DIR")
	}
	k.Pin, k.Index = &pin, &index
	return k, nil
}

func savePin(credentials string, pin repo.Pin) error {
	data, err := json.MarshalIndent(pin, "", "  ")
	if err != nil {
		return err
	}
	return writeKey(filepath.Join(credentials, pinFile), append(data, '\n'))
}

func writeKey(path string, data []byte) error {
	err := atomicfile.WriteBytes(path, 0o600, data)
	switch {
	case err == nil:
		return nil
	case diskspace.IsFull(err):
		return uerr.New(uerr.NoSpace, "write the key file", path, err, "free some space, then run the same command again")
	}
	return uerr.New(uerr.Precond, "write the key file", path, err, "name a folder that exists and that you may write to")
}
