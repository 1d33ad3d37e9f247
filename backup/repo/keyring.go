package repo

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// A keyring hands what is stored on to recipients that came later: for each sealed object the 16-byte key of its age file,
// sealed to the recipients of a generation. It is divided into segments, and the owner's signature of the settings names each
// by its checksum. So nobody else can add to it, and a rotation uploads about 50 bytes for each object and not the objects.

// KeyringPrefix is where the segments of keyrings lie, under the SHA-256 of their stored bytes.
const KeyringPrefix = "k/"

// MaxKeyringKeys is the number of keys after which a writer begins another segment.
const MaxKeyringKeys = 1 << 16

// maxKeyring bounds a segment as it is stored and as plain text.
const maxKeyring = 64 << 20

// KeyringSegment is an object of a keyring.
type KeyringSegment struct {
	Name       string `json:"name"` // SHA-256 of the object, hexadecimal
	Size       int64  `json:"size"`
	Keys       int    `json:"keys"`
	Generation int    `json:"generation"` // whose recipients it is sealed to
}

// Key is the object of the segment.
func (s KeyringSegment) Key() string { return KeyringPrefix + s.Name }

// SealKeyring encodes file keys by the keys of their objects as one segment for recipients.
func SealKeyring(keys map[string][]byte, recipients []age.Recipient) (KeyringSegment, []byte, error) {
	var plain bytes.Buffer
	for _, object := range slices.Sorted(maps.Keys(keys)) {
		fmt.Fprintf(&plain, "%s %x\n", object, keys[object])
	}
	enc, err := NewEncoder()
	if err != nil {
		return KeyringSegment{}, nil, err
	}
	data, err := sealed.SealBytes(enc.EncodeAll(plain.Bytes(), nil), recipients...)
	if err != nil {
		return KeyringSegment{}, nil, err
	}
	return KeyringSegment{Name: DocumentSum(data), Size: int64(len(data)), Keys: len(keys)}, data, nil
}

// parseKeyring reads the lines of a segment, "<object> <file key>", into keys.
func parseKeyring(plain []byte, keys map[string][]byte) error {
	for line := range strings.Lines(string(plain)) {
		object, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		key, err := hex.DecodeString(text)
		if !ok || err != nil || len(key) != sealed.FileKeySize || object == "" {
			return errors.New("it has a line that is no key of an object")
		}
		keys[object] = key
	}
	return nil
}

// keyring is what the identities at hand were handed.
type keyring struct {
	keys   map[string][]byte
	broken error // a segment that could not be read; what it holds cannot be told
}

// needsKeyring tells whether there is a generation whose recipients the given identities are not.
func (r *Repo) needsKeyring() bool {
	if len(r.Keys.Identities) == 0 || len(r.Settings.Keyring) == 0 {
		return false
	}
	for _, s := range r.Generations {
		if _, err := sealed.FileKey(s.IndexKey, r.Keys.Identities...); err != nil {
			return true
		}
	}
	return false
}

// readKeyring reads the segments that the newest settings name. One that is for others is skipped, and one that is missing or
// damaged is remembered, since other objects can still be opened. Error kinds: those of a store that is away.
func (r *Repo) readKeyring(ctx context.Context) error {
	const op = "read the keyring"
	for _, segment := range r.Settings.Keyring {
		data, err := ReadSized(ctx, r.Store, segment.Key(), segment.Size, maxKeyring)
		if err = StoreError(op, r.Store, segment.Key(), err); err != nil && uerr.KindOf(err) != uerr.Integrity {
			return err
		}
		if err == nil {
			err = r.learn(segment, data)
		}
		if err != nil && uerr.KindOf(err) != uerr.Auth {
			r.keyring.broken = Tampered(op, r.Store, segment.Key(), err)
		}
	}
	return nil
}

// learn opens a segment. Error kind Auth: it is for other identities.
func (r *Repo) learn(segment KeyringSegment, data []byte) error {
	if DocumentSum(data) != segment.Name {
		return errors.New("its content is not what its name says")
	}
	packed, err := sealed.OpenBytes(data, r.Keys.Identities...)
	if err != nil {
		return err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxKeyring))
	if err != nil {
		return err
	}
	defer dec.Close()
	plain, err := dec.DecodeAll(packed, nil)
	if err != nil {
		return err
	}
	return parseKeyring(plain, r.keyring.keys)
}

// LoadKeyring reads the keyring although the identities do not need it. Error kinds: those of a store that is away.
func (r *Repo) LoadKeyring(ctx context.Context) error {
	if len(r.keyring.keys) > 0 {
		return nil
	}
	return r.readKeyring(ctx)
}

// KeyringBroken is why a part of the keyring cannot be read; nil: it is whole.
func (r *Repo) KeyringBroken() error { return r.keyring.broken }

// Handed are the keys of objects that the keyring hands on.
func (r *Repo) Handed() map[string][]byte { return r.keyring.keys }

// HandedOn is the file key of an object, when the keyring holds it.
func (r *Repo) HandedOn(object string) ([]byte, bool) {
	key, ok := r.keyring.keys[object]
	return key, ok
}

// IdentitiesFor are the identities that open the object: the key that the keyring hands on, and all that were given.
func (r *Repo) IdentitiesFor(object string) []age.Identity {
	if key, ok := r.HandedOn(object); ok {
		return append([]age.Identity{sealed.WithFileKey(key)}, r.Keys.Identities...)
	}
	if r.keyring.broken != nil {
		return append(slices.Clone(r.Keys.Identities), brokenKeyring{r.keyring.broken})
	}
	return r.Keys.Identities
}

// brokenKeyring says why an object cannot be opened that no identity opens by itself.
type brokenKeyring struct{ err error }

func (b brokenKeyring) Unwrap([]*age.Stanza) ([]byte, error) { return nil, b.err }
