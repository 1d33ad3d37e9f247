package repo

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"filippo.io/age"

	"practicectl/internal/sealed"
)

// Root is repo.json: which repository this is and whose. It never changes.
type Root struct {
	Format  int       `json:"format"`
	ID      string    `json:"repository"`
	Created time.Time `json:"created"`
	Owner   PublicKey `json:"owner"`
}

// Writer is a host that may write snapshots.
type Writer struct {
	Host string    `json:"host"`
	Key  PublicKey `json:"public_key"`
}

// Settings is one generation of what the owner decided: r/<generation>.
type Settings struct {
	Format     int       `json:"format"`
	Repository string    `json:"repository"`
	Generation int       `json:"generation"`
	Created    time.Time `json:"created"`
	Previous   string    `json:"previous,omitempty"` // SHA-256 of the generation before, as it is stored
	Recipients []string  `json:"recipients"`
	Epoch      int       `json:"index_epoch"`
	IndexKey   []byte    `json:"index_key"`             // the file of [IndexKey.Encode], sealed to the recipients
	IndexCheck string    `json:"index_check,omitempty"` // [IndexKey.Check]: tells a host whether a key is the right one
	Writers    []Writer  `json:"writers"`
	// Keyring opens to the recipients of a rotation what was sealed before it.
	Keyring []KeyringSegment `json:"keyring,omitempty"`
}

// WriterOf finds the key of a host.
func (s Settings) WriterOf(host string) (ed25519.PublicKey, bool) {
	for _, w := range s.Writers {
		if w.Host == host {
			return ed25519.PublicKey(w.Key), true
		}
	}
	return nil, false
}

// OpenIndexKey decrypts the index key with an identity.
func (s Settings) OpenIndexKey(ids ...age.Identity) (IndexKey, error) {
	plain, err := sealed.OpenBytes(s.IndexKey, ids...)
	if err != nil {
		return IndexKey{}, err
	}
	return ParseIndexKey(plain)
}

// SignRoot writes repo.json.
func SignRoot(r Root, owner ed25519.PrivateKey) ([]byte, error) { return sign(kindRoot, r, owner) }

// ParseRoot reads repo.json. Its signature proves only that it is whole: whether the owner is the right one is told by
// the pin of the host.
func ParseRoot(data []byte) (Root, error) {
	var r Root
	line, sig, rest, err := split(data)
	if err != nil {
		return r, err
	}
	if err := decode(line, &r.Format, &r); err != nil {
		return r, err
	}
	if len(rest) != 0 || r.ID == "" {
		return r, errors.New("it has not the form of a repository's root")
	}
	return r, verify(kindRoot, line, sig, ed25519.PublicKey(r.Owner))
}

// SignSettings writes a generation.
func SignSettings(s Settings, owner ed25519.PrivateKey) ([]byte, error) {
	return sign(kindSettings, s, owner)
}

// ParseSettings reads generation n of the repository root and checks it against the one before (nil for the first).
func ParseSettings(data []byte, root Root, n int, previous []byte) (Settings, error) {
	var s Settings
	line, sig, rest, err := split(data)
	if err != nil {
		return s, err
	}
	if err := verify(kindSettings, line, sig, ed25519.PublicKey(root.Owner)); err != nil {
		return s, err
	}
	if err := decode(line, &s.Format, &s); err != nil {
		return s, err
	}
	want := ""
	if previous != nil {
		want = DocumentSum(previous)
	}
	switch {
	case len(rest) != 0:
		return s, errors.New("something follows its signature")
	case s.Repository != root.ID:
		return s, errors.New("it belongs to another repository")
	case s.Generation != n:
		return s, fmt.Errorf("it is generation %d under the name of generation %d", s.Generation, n)
	case s.Previous != want:
		return s, errors.New("it does not follow the generation before")
	case len(s.Recipients) < 2:
		return s, errors.New("it names fewer than two recipients")
	}
	for _, k := range s.Keyring {
		if _, err := ParsePackID(k.Name); err != nil {
			return s, errors.New("it names a keyring that cannot be")
		}
	}
	return s, nil
}

// DocumentSum is the SHA-256 of a stored document, in hexadecimal.
func DocumentSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Pin is what a host remembers about its repository, so that the store cannot put another one in its place.
type Pin struct {
	Repository    string    `json:"repository"`
	Owner         PublicKey `json:"owner"`
	Host          string    `json:"host"`
	Generation    int       `json:"generation"`
	Settings      string    `json:"settings_sha256"`                 // of that generation
	ObjectLock    bool      `json:"object_lock,omitempty"`           // the store was found to enforce locks when the repository was made
	Unconditional bool      `json:"no_conditional_writes,omitempty"` // the store was found to ignore or refuse conditions on a write
}
