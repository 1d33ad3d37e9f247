package repo

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/zeebo/blake3"
)

// NewSigningKey makes an Ed25519 key: the owner's or a host's.
func NewSigningKey() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

// EncodeSigningKey writes a key as PEM (PKCS #8).
func EncodeSigningKey(key ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ParseSigningKey reads what [EncodeSigningKey] wrote.
func ParseSigningKey(data []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("it is no PEM private key")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("its PEM content cannot be read")
	}
	key, ok := k.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("it is no Ed25519 key")
	}
	return key, nil
}

// PublicKey is an Ed25519 public key that is base64 in JSON.
type PublicKey ed25519.PublicKey

// MarshalText writes base64.
func (k PublicKey) MarshalText() ([]byte, error) {
	return []byte(base64.StdEncoding.EncodeToString(k)), nil
}

// UnmarshalText reads base64.
func (k *PublicKey) UnmarshalText(b []byte) error {
	raw, err := base64.StdEncoding.DecodeString(string(b))
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return errors.New("a public key cannot be read")
	}
	*k = raw
	return nil
}

// Equal tells whether both are the same key.
func (k PublicKey) Equal(o PublicKey) bool {
	return ed25519.PublicKey(k).Equal(ed25519.PublicKey(o))
}

// IndexKey is the symmetric key of one epoch: it makes the ids of pages and seals the index. It opens no pack.
type IndexKey struct {
	Epoch  int
	secret [32]byte
}

// NewIndexKey makes the key of an epoch.
func NewIndexKey(epoch int) (IndexKey, error) {
	k := IndexKey{Epoch: epoch}
	_, err := rand.Read(k.secret[:])
	return k, err
}

type indexKeyFile struct {
	Format int    `json:"format"`
	Epoch  int    `json:"epoch"`
	Key    []byte `json:"index_key"`
}

// Encode writes the key as JSON.
func (k IndexKey) Encode() ([]byte, error) {
	b, err := json.Marshal(indexKeyFile{Format: Format, Epoch: k.Epoch, Key: k.secret[:]})
	return append(b, '\n'), err
}

// ParseIndexKey reads what [IndexKey.Encode] wrote.
func ParseIndexKey(data []byte) (IndexKey, error) {
	var f indexKeyFile
	if err := json.Unmarshal(data, &f); err != nil || f.Format != Format || len(f.Key) != 32 || f.Epoch < 1 {
		return IndexKey{}, errors.New("it is no index key")
	}
	k := IndexKey{Epoch: f.Epoch}
	copy(k.secret[:], f.Key)
	return k, nil
}

// String redacts.
func (k IndexKey) String() string { return fmt.Sprintf("index key of epoch %d", k.Epoch) }

// GoString redacts.
func (k IndexKey) GoString() string { return k.String() }

// derive makes a 32-byte key for one purpose. The epoch is part of the derivation.
func (k IndexKey) derive(purpose string) []byte {
	out := make([]byte, 32)
	blake3.DeriveKey(fmt.Sprintf("practicectl backup v1 %s epoch %d", purpose, k.Epoch), k.secret[:], out)
	return out
}

// Check names the key without giving it away: 16 bytes derived from it, hexadecimal.
func (k IndexKey) Check() string { return hex.EncodeToString(k.derive("check")[:16]) }

// Hasher makes ids. It is not safe for concurrent use; make one for each goroutine.
type Hasher struct {
	page, chunk, digest *blake3.Hasher
	sum                 [32]byte
}

// Hasher returns a new hasher under k.
func (k IndexKey) Hasher() *Hasher {
	keyed := func(purpose string) *blake3.Hasher {
		h, err := blake3.NewKeyed(k.derive(purpose))
		if err != nil {
			panic(err) // the key is always 32 bytes
		}
		return h
	}
	return &Hasher{page: keyed("page id"), chunk: keyed("chunk id"), digest: keyed("digest")}
}

func (h *Hasher) id(with *blake3.Hasher, b []byte) (id ID) {
	with.Reset()
	_, _ = with.Write(b) // never fails
	copy(id[:], with.Sum(h.sum[:0]))
	return id
}

// Page is the id of a page. An all-zero page has the zero ID, which is not computed here.
func (h *Hasher) Page(b []byte) ID { return h.id(h.page, b) }

// Chunk is the id of a chunk.
func (h *Hasher) Chunk(b []byte) ID { return h.id(h.chunk, b) }

// Digest is the digest of a list of ids, or of any bytes that describe something.
func (h *Hasher) Digest(b []byte) ID { return h.id(h.digest, b) }

// Tagger proves that what the host keeps on its own disk is what it put there. It is not safe for concurrent use.
type Tagger struct {
	h   *blake3.Hasher
	sum [32]byte
}

// Tagger returns a new tagger for one purpose.
func (k IndexKey) Tagger(purpose string) *Tagger {
	h, err := blake3.NewKeyed(k.derive(purpose))
	if err != nil {
		panic(err) // the key is always 32 bytes
	}
	return &Tagger{h: h}
}

// Tag is the keyed hash of the parts joined.
func (t *Tagger) Tag(parts ...[]byte) (tag ID) {
	t.h.Reset()
	for _, p := range parts {
		_, _ = t.h.Write(p) // never fails
	}
	copy(tag[:], t.h.Sum(t.sum[:0]))
	return tag
}

// PublicOf is the public half of a signing key, which follows its seed.
func PublicOf(key ed25519.PrivateKey) PublicKey {
	return slices.Clone(PublicKey(key[ed25519.SeedSize:]))
}
