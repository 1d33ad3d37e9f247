package sealed

import (
	"errors"
	"fmt"

	"filippo.io/age"

	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

// Identity is a private key that was just made. It does not show itself in any output.
type Identity struct {
	id        age.Identity
	recipient string
	text      secret.Text
}

var _ age.Identity = (*Identity)(nil)

// NewIdentity makes an X25519 identity, which every age program understands.
func NewIdentity() (*Identity, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, uerr.New(uerr.Failed, "make a key", "", err, "")
	}
	return &Identity{id: id, recipient: id.Recipient().String(), text: secret.New(id.String())}, nil
}

// NewPostQuantumIdentity makes a hybrid ML-KEM-768 and X25519 identity (age 1.3 and newer).
func NewPostQuantumIdentity() (*Identity, error) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, uerr.New(uerr.Failed, "make a key", "", err, "")
	}
	return &Identity{id: id, recipient: id.Recipient().String(), text: secret.New(id.String())}, nil
}

// OneIdentity is the one identity among loaded ones, in a form that can be written again. Error: there are several, or it is a
// plugin's.
func OneIdentity(ids []age.Identity) (*Identity, error) {
	if len(ids) != 1 {
		return nil, fmt.Errorf("there are %d private keys and one is wanted", len(ids))
	}
	switch id := ids[0].(type) {
	case *Identity:
		return id, nil
	case *age.X25519Identity:
		return &Identity{id: id, recipient: RecipientOf(id), text: secret.New(id.String())}, nil
	case *age.HybridIdentity:
		return &Identity{id: id, recipient: RecipientOf(id), text: secret.New(id.String())}, nil
	}
	return nil, errors.New("it is the identity of a plugin: its secret is not in the file")
}

// Unwrap makes an Identity usable with [Open].
func (i *Identity) Unwrap(stanzas []*age.Stanza) ([]byte, error) { return i.id.Unwrap(stanzas) }

// Recipient is the public key.
func (i *Identity) Recipient() string { return i.recipient }

// Secret is the private key in age's text form.
func (i *Identity) Secret() secret.Text { return i.text }

// String shows the public key only.
func (i *Identity) String() string { return "identity of " + i.recipient }

// GoString shows the public key only.
func (i *Identity) GoString() string { return i.String() }

// Format shows the public key only, whatever the verb.
func (i *Identity) Format(f fmt.State, _ rune) { fmt.Fprint(f, i.String()) }

// MarshalJSON refuses: an identity is written by [WriteIdentity] only.
func (i *Identity) MarshalJSON() ([]byte, error) {
	return nil, errors.New("an identity is not put into JSON")
}

// RecipientOf returns the public key of an identity, or "" when it is of a kind that has none.
func RecipientOf(id age.Identity) string {
	switch v := id.(type) {
	case *Identity:
		return v.recipient
	case *age.X25519Identity:
		return v.Recipient().String()
	case *age.HybridIdentity:
		return v.Recipient().String()
	}
	return ""
}
