package publish

import (
	"os"
	"path/filepath"
	"strconv"

	"practicectl/internal/atomicfile"
	"practicectl/internal/secret"
	"practicectl/internal/uerr"
	"practicectl/release"
)

// Names of the top-level roles that have keys.
const (
	Root      = "root"
	Targets   = "targets"
	Snapshot  = "snapshot"
	Timestamp = "timestamp"
)

// Keyring holds the keys of every role by the role's name.
type Keyring map[string][]*Key

// GenerateKeyring makes a complete set: three people for root and targets, three release managers for stable, lts and
// deps, a build key (and the first manager) for beta, one key and a spare for snapshot and for timestamp. A vendor
// makes each of them on its owner's machine instead; this is for a demo, for tests and for rehearsing a ceremony.
func GenerateKeyring() (Keyring, error) {
	made := map[string][]*Key{}
	for owner, n := range map[string]int{"people": 3, "managers": 3, "build": 1, Snapshot: 2, Timestamp: 2} {
		for range n {
			k, err := GenerateKey()
			if err != nil {
				return nil, err
			}
			made[owner] = append(made[owner], k)
		}
	}
	return Keyring{
		Root: made["people"], Targets: made["people"],
		release.Stable: made["managers"], release.LTS: made["managers"], release.Deps: made["managers"],
		release.Beta: append(made["build"], made["managers"][0]),
		Snapshot:     made[Snapshot], Timestamp: made[Timestamp],
	}, nil
}

// Public returns the public halves, for the ceremony.
func (k Keyring) Public() map[string][]PublicKey {
	out := map[string][]PublicKey{}
	for role, keys := range k {
		for _, key := range keys {
			out[role] = append(out[role], key.PublicKey)
		}
	}
	return out
}

// Save writes every key as dir/<role>-<n>.key.age and .pub, sealed with one passphrase. Existing files stay.
func (k Keyring) Save(dir string, pass secret.Text, work int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return uerr.New(uerr.Precond, "make the key folder", dir, err, "")
	}
	saved := map[string]bool{}
	for _, role := range []string{Root, release.Stable, release.Beta, Snapshot, Timestamp} {
		for i, key := range k[role] {
			if saved[key.ID] {
				continue
			}
			saved[key.ID] = true
			if err := SaveKey(filepath.Join(dir, role+"-"+strconv.Itoa(i+1)), key, pass, work); err != nil {
				return err
			}
		}
	}
	return nil
}

// SaveKey writes base.key.age (mode 0600) and base.pub. It never overwrites a key.
func SaveKey(base string, key *Key, pass secret.Text, work int) error {
	const op = "save the signing key"
	if _, err := os.Lstat(base + ".key.age"); err == nil {
		return uerr.New(uerr.Precond, op, base+".key.age", os.ErrExist, "choose another name with --out")
	}
	sealed, err := key.Seal(pass, work)
	if err != nil {
		return err
	}
	pub, err := key.Encode()
	if err != nil {
		return err
	}
	if err := atomicfile.WriteBytes(base+".key.age", 0o600, sealed); err != nil {
		return uerr.New(uerr.Precond, op, base, err, "")
	}
	if err := atomicfile.WriteBytes(base+".pub", 0o644, pub); err != nil {
		return uerr.New(uerr.Precond, op, base, err, "")
	}
	return nil
}
