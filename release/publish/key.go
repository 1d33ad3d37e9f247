// Package publish makes, signs and publishes releases. Only the vendor runs it; nothing on a clinic's machines
// imports it.
//
// A release goes through a stage folder: the ceremony and Build put unsigned metadata there, people sign it where their
// keys are, and Publish moves it into the repository once every threshold is met and a real client has read it.
package publish

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"practicectl/internal/secret"
	"practicectl/internal/uerr"
	"practicectl/release/trust"
)

// DefaultWork is the base-2 logarithm of the scrypt cost of key files: about a second and 256 MiB.
const DefaultWork = 18

// maxWork bounds what a foreign key file may cost.
const maxWork = 22

// Key is a signing key in memory.
type Key struct {
	PublicKey
	private ed25519.PrivateKey
}

// PublicKey is the public half, as passed to the ceremony.
type PublicKey struct {
	ID     string // 64 hex digits
	Public ed25519.PublicKey
}

// GenerateKey makes a new Ed25519 key.
func GenerateKey() (*Key, error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	p, err := newPublicKey(pub)
	return &Key{PublicKey: p, private: priv}, err
}

func newPublicKey(pub ed25519.PublicKey) (PublicKey, error) {
	k, err := metadata.KeyFromPublicKey(pub)
	if err != nil {
		return PublicKey{}, err
	}
	id, err := k.ID()
	return PublicKey{ID: id, Public: pub}, err
}

// Words spells the first 96 bits of the key's id, to compare on the telephone.
func (p PublicKey) Words() string {
	b, err := hex.DecodeString(p.ID)
	if err != nil || len(b) < 12 {
		return ""
	}
	return trust.Words(b[:12])
}

func (p PublicKey) tuf() (*metadata.Key, error) { return metadata.KeyFromPublicKey(p.Public) }

func (k *Key) signer() (signature.Signer, error) {
	return signature.LoadSigner(k.private, crypto.Hash(0))
}

// Private returns the key itself, for signing other things than releases.
func (k *Key) Private() ed25519.PrivateKey { return k.private }

// Encode returns the public key as PEM.
func (p PublicKey) Encode() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(p.Public)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), err
}

// ParsePublicKey reads what Encode wrote. Error kind: Integrity.
func ParsePublicKey(data []byte) (PublicKey, error) {
	bad := func(err error) (PublicKey, error) {
		return PublicKey{}, uerr.New(uerr.Integrity, "read the public key", "", err, "practicectl release keygen --help")
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PUBLIC KEY" {
		return bad(errors.New("not a PEM public key"))
	}
	k, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return bad(err)
	}
	pub, ok := k.(ed25519.PublicKey)
	if !ok {
		return bad(errors.New("not an Ed25519 key"))
	}
	return newPublicKey(pub)
}

// Seal encrypts the private key with a passphrase as an age file that holds PKCS#8 PEM. work is the base-2 logarithm
// of the scrypt cost, see [DefaultWork].
func (k *Key) Seal(pass secret.Text, work int) ([]byte, error) {
	if pass.Empty() {
		return nil, uerr.New(uerr.Precond, "encrypt the signing key", k.ID, errors.New("empty passphrase"), "give one with --passphrase-file")
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, err
	}
	to, err := age.NewScryptRecipient(pass.Reveal())
	if err != nil {
		return nil, err
	}
	to.SetWorkFactor(work)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, err
	}
	if err := pem.Encode(w, &pem.Block{Type: "PRIVATE KEY", Bytes: der}); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil { // writes the last block
		return nil, err
	}
	return out.Bytes(), nil
}

// OpenKey decrypts a key file. Error kinds: Auth for a wrong passphrase, Integrity for anything that is not a key file.
func OpenKey(data []byte, pass secret.Text) (*Key, error) {
	const op = "open the signing key"
	id, err := age.NewScryptIdentity(pass.Reveal())
	if err != nil {
		return nil, uerr.New(uerr.Auth, op, "", err, "give its passphrase with --passphrase-file")
	}
	id.SetMaxWorkFactor(maxWork)
	r, err := age.Decrypt(bytes.NewReader(data), id)
	var wrong *age.NoIdentityMatchError
	if errors.As(err, &wrong) {
		return nil, uerr.New(uerr.Auth, op, "", errors.New("wrong passphrase"), "give its passphrase with --passphrase-file")
	}
	if err != nil {
		return nil, uerr.New(uerr.Integrity, op, "", err, "use a file made by practicectl release keygen")
	}
	text, err := io.ReadAll(io.LimitReader(r, 1<<16))
	block, _ := pem.Decode(text)
	if err != nil || block == nil {
		return nil, uerr.New(uerr.Integrity, op, "", errors.Join(err, errors.New("holds no key")), "use a file made by practicectl release keygen")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	priv, ok := k.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, uerr.New(uerr.Integrity, op, "", fmt.Errorf("not an Ed25519 key"), "use a file made by practicectl release keygen")
	}
	public, ok := priv.Public().(ed25519.PublicKey)
	if !ok {
		return nil, uerr.New(uerr.Integrity, op, "", errors.New("not an Ed25519 key"), "use a file made by practicectl release keygen")
	}
	p, err := newPublicKey(public)
	return &Key{PublicKey: p, private: priv}, err
}
