package sealed

import (
	"errors"
	"fmt"
	"io/fs"

	"filippo.io/age"

	"practicectl/internal/escrow"
	"practicectl/internal/secret"
	"practicectl/internal/uerr"
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

// LoadShares reads the shares in a file: scanned texts, or lines typed from paper pages. Error kinds: NotFound, Auth.
func LoadShares(path string, ask Ask) ([]escrow.Share, error) {
	const op, hint = "read the share", "scan the code of the page, or type its lines as they stand there"
	data, err := ask.read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, uerr.New(uerr.NotFound, op, path, errors.New("there is no such file"), hint)
	case err != nil:
		return nil, uerr.New(uerr.Auth, op, path, err, hint)
	}
	ids, shares, err := parseLines(data, nil)
	if err == nil && len(ids) > 0 {
		err = errors.New("it holds a whole identity and no share")
	}
	if err == nil && len(shares) == 0 {
		err = errors.New("there is no share in it")
	}
	if err != nil {
		return nil, uerr.New(uerr.Auth, op, path, err, hint)
	}
	return shares, nil
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
