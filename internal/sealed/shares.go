package sealed

import (
	"errors"
	"fmt"

	"filippo.io/age"

	"practicectl/internal/escrow"
	"practicectl/internal/secret"
)

// Kinds of secrets that are divided, and how age begins their texts.
var shareKinds = map[byte]string{1: "AGE-SECRET-KEY-", 2: "AGE-SECRET-KEY-PQ-"}

// Split divides the identity into count shares, of which any threshold put it together. name is what it is for; it may be empty.
func (i *Identity) Split(count, threshold int, name string) ([]escrow.Share, error) {
	for kind, prefix := range shareKinds {
		data, err := bech32Decode(prefix, i.text.Reveal())
		if err != nil || len(data) != escrow.SecretSize {
			continue
		}
		return escrow.Split(escrow.Secret{Kind: kind, Bytes: [escrow.SecretSize]byte(data)}, count, threshold, name)
	}
	return nil, errors.New("only an identity that practicectl key generate made can be divided")
}

// CombineShares puts an identity together. Errors name shares and never show them.
func CombineShares(shares []escrow.Share) (*Identity, error) {
	s, err := escrow.Combine(shares)
	if err != nil {
		return nil, err
	}
	prefix, ok := shareKinds[s.Kind]
	if !ok {
		return nil, fmt.Errorf("the shares are of a secret of kind %d, which this program does not know", s.Kind)
	}
	text := secret.New(bech32Encode(prefix, s.Bytes[:]))
	var id age.Identity
	if s.Kind == 1 {
		id, err = age.ParseX25519Identity(text.Reveal())
	} else {
		id, err = age.ParseHybridIdentity(text.Reveal())
	}
	if err != nil {
		return nil, errors.New("what the shares hold is no identity")
	}
	return &Identity{id: id, recipient: RecipientOf(id), text: text}, nil
}
