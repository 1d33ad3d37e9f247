package repo

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// A signed document is one line of JSON, a line with the signature, and after that whatever the kind of document allows.
// The signature is over "practicectl backup <kind> v1\n" and the first line with its line break.

const signatureIntro = "-- ed25519 "

// Kinds of signed documents. A signature for one kind is worth nothing for another.
const (
	kindRoot       = "repository"
	kindSettings   = "settings"
	kindSnapshot   = "snapshot"
	kindTombstones = "tombstones"
	kindGap        = "gap"
	kindHold       = "hold"
)

var errSignature = errors.New("the signature is wrong: the object was changed, or written with another key")

func signedText(kind string, line []byte) []byte {
	return append([]byte("practicectl backup "+kind+" v1\n"), line...)
}

// sign returns v as a signed document.
func sign(kind string, v any, key ed25519.PrivateKey) ([]byte, error) {
	line, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	line = append(line, '\n')
	sig := ed25519.Sign(key, signedText(kind, line))
	return fmt.Appendf(line, "%s%s\n", signatureIntro, base64.StdEncoding.EncodeToString(sig)), nil
}

// split takes the parts of a signed document apart without trusting them.
func split(data []byte) (line, sig, rest []byte, err error) {
	i := bytes.IndexByte(data, '\n')
	if i < 0 {
		return nil, nil, nil, errors.New("it is cut short")
	}
	line, rest = data[:i+1], data[i+1:]
	i = bytes.IndexByte(rest, '\n')
	if i < 0 || !bytes.HasPrefix(rest, []byte(signatureIntro)) {
		return nil, nil, nil, errors.New("it has no signature")
	}
	sig, err = base64.StdEncoding.DecodeString(string(rest[len(signatureIntro):i]))
	if err != nil {
		return nil, nil, nil, errors.New("its signature cannot be read")
	}
	return line, sig, rest[i+1:], nil
}

// verify checks the signature of line.
func verify(kind string, line, sig []byte, key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, signedText(kind, line), sig) {
		return errSignature
	}
	return nil
}

// decode reads the JSON of a document strictly enough: unknown fields are allowed, so that a newer writer may add some.
func decode(line []byte, format *int, v any) error {
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("it cannot be read: %w", err)
	}
	if *format != Format {
		return fmt.Errorf("it has format %d and this program knows format %d", *format, Format)
	}
	return nil
}
