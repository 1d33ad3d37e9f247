// Package escrow divides a secret among several people, some of whom together can put it together again and fewer learn nothing.
//
// It is Shamir's scheme ("How to share a secret", 1979) over GF(2^8), byte by byte. A share is 60 bytes, whatever the secret is, and
// is written with 96 letters and digits, so that it fits on paper:
//
//	1  version, 1
//	6  set: random, the same in all shares of one division
//	6  beginning of the SHA-256 of the name of what the secret is for; zeros when there is none
//	1  threshold
//	1  number of shares
//	1  number of this share, from 1: the place x
//	40 values y, of 1 byte kind, 32 bytes secret and the first 7 bytes of the SHA-256 of both
//	4  beginning of the SHA-256 of all before
package escrow

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	version  = 1
	setSize  = 6
	forSize  = 6
	sumSize  = 4
	yStart   = 1 + setSize + forSize + 3
	body     = 1 + SecretSize + 7
	size     = yStart + body + sumSize
	maxCount = 16
)

// SecretSize is the size in bytes of the secrets that are divided.
const SecretSize = 32

// TextSize is the number of letters and digits of a share.
const TextSize = size / 5 * 8

// Secret is what is divided: 32 bytes, and what kind of secret they are.
type Secret struct {
	Kind  byte
	Bytes [SecretSize]byte
}

// String redacts.
func (Secret) String() string { return "[redacted]" }

// GoString redacts.
func (Secret) GoString() string { return "[redacted]" }

// Share is one part of a divided secret. It is a secret itself.
type Share struct {
	data [size]byte
}

// Set names the division that the share is from.
func (s Share) Set() string { return hex.EncodeToString(s.data[1 : 1+setSize]) }

// Number of the share, from 1.
func (s Share) Number() int { return int(s.data[yStart-1]) }

// Count is the number of shares in the set.
func (s Share) Count() int { return int(s.data[yStart-2]) }

// Threshold is the number of shares that are needed.
func (s Share) Threshold() int { return int(s.data[yStart-3]) }

// IsFor tells whether the share was made for what name names.
func (s Share) IsFor(name string) bool {
	return bytes.Equal(s.data[1+setSize:1+setSize+forSize], fingerprint(name))
}

// ForNothing tells whether the share was made without a name.
func (s Share) ForNothing() bool { return s.IsFor("") }

// String says which share it is, and not what is in it.
func (s Share) String() string {
	return fmt.Sprintf("share %d of %d of set %s", s.Number(), s.Count(), s.Set())
}

// GoString says what String says.
func (s Share) GoString() string { return s.String() }

func fingerprint(name string) []byte {
	if name == "" {
		return make([]byte, forSize)
	}
	sum := sha256.Sum256([]byte("practicectl escrow for " + name))
	return sum[:forSize]
}

// check is what tells that shares were put together rightly. It is divided too, so that it gives nothing away.
func check(kind byte, secret []byte) []byte {
	sum := sha256.Sum256(slices.Concat([]byte("practicectl escrow"), []byte{kind}, secret))
	return sum[:body-1-SecretSize]
}

// Split divides a secret into count shares, of which any threshold put it together. name is what it is for, such as the id of a
// repository; it may be empty.
func Split(secret Secret, count, threshold int, name string) ([]Share, error) {
	if threshold < 2 || threshold > count || count > maxCount {
		return nil, fmt.Errorf("%d of %d shares cannot be: want from 2 of 2 up to %d of %d", threshold, count, maxCount, maxCount)
	}
	plain := slices.Concat([]byte{secret.Kind}, secret.Bytes[:], check(secret.Kind, secret.Bytes[:]))
	shares := make([]Share, count)
	var head [yStart]byte
	head[0] = version
	if _, err := rand.Read(head[1 : 1+setSize]); err != nil {
		return nil, err
	}
	copy(head[1+setSize:], fingerprint(name))
	head[yStart-3], head[yStart-2] = byte(threshold), byte(count)
	for i := range shares {
		shares[i].data = [size]byte(slices.Concat(head[:], make([]byte, body+sumSize)))
		shares[i].data[yStart-1] = byte(i + 1)
	}
	polynomial := make([]byte, threshold)
	for at, b := range plain {
		if _, err := rand.Read(polynomial[1:]); err != nil {
			return nil, err
		}
		polynomial[0] = b
		for i := range shares {
			shares[i].data[yStart+at] = evaluate(polynomial, byte(i+1))
		}
	}
	for i := range shares {
		copy(shares[i].data[yStart+body:], sum(shares[i].data[:yStart+body]))
	}
	return shares, nil
}

func sum(b []byte) []byte {
	full := sha256.Sum256(b)
	return full[:sumSize]
}

// ErrTooFew: there are fewer shares than the threshold.
var ErrTooFew = errors.New("more shares are needed")

// Combine puts a secret together. More shares than are needed must agree with the others. Errors name shares and never show them.
func Combine(shares []Share) (Secret, error) {
	if len(shares) == 0 {
		return Secret{}, fmt.Errorf("%w: there is none", ErrTooFew)
	}
	first := shares[0]
	var different []Share
	for _, s := range shares {
		if !bytes.Equal(s.data[:yStart-1], first.data[:yStart-1]) {
			return Secret{}, fmt.Errorf("share %d is of set %s and share %d of set %s: they do not belong together", first.Number(), first.Set(), s.Number(), s.Set())
		}
		i := slices.IndexFunc(different, func(o Share) bool { return o.Number() == s.Number() })
		if i < 0 {
			different = append(different, s)
		} else if different[i] != s {
			return Secret{}, fmt.Errorf("there are two different shares %d of set %s", s.Number(), s.Set())
		}
	}
	need := first.Threshold()
	if len(different) < need {
		return Secret{}, fmt.Errorf("%w: %d of the %d that set %s takes", ErrTooFew, len(different), need, first.Set())
	}
	plain, err := join(different[:need])
	if err != nil {
		return Secret{}, err
	}
	for _, s := range different[need:] {
		again, err := join(append(slices.Clone(different[:need-1]), s))
		if err != nil || subtle.ConstantTimeCompare(again, plain) != 1 {
			return Secret{}, errDisagree
		}
	}
	out := Secret{Kind: plain[0]}
	copy(out.Bytes[:], plain[1:])
	return out, nil
}

var errDisagree = errors.New("the shares do not agree: one of them was made up")

func join(shares []Share) ([]byte, error) {
	xs, ys := make([]byte, len(shares)), make([]byte, len(shares))
	for i, s := range shares {
		xs[i] = byte(s.Number())
	}
	plain := make([]byte, body)
	for at := range plain {
		for i, s := range shares {
			ys[i] = s.data[yStart+at]
		}
		plain[at] = constant(xs, ys)
	}
	if subtle.ConstantTimeCompare(plain[1+SecretSize:], check(plain[0], plain[1:1+SecretSize])) != 1 {
		return nil, errDisagree
	}
	return plain, nil
}

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// Text writes a share with letters and the digits 2 to 7.
func (s Share) Text() string { return encoding.EncodeToString(s.data[:]) }

// IsShare tells whether a text has the form of a share.
func IsShare(text string) bool {
	_, err := encoding.DecodeString(text)
	return len(text) == TextSize && err == nil
}

// Parse reads what [Share.Text] wrote. Case does not matter.
func Parse(text string) (Share, error) {
	data, err := encoding.DecodeString(strings.ToUpper(text))
	if err != nil || len(data) != size {
		return Share{}, errors.New("it has not the form of a share")
	}
	s := Share{data: [size]byte(data)}
	if !bytes.Equal(sum(data[:yStart+body]), data[yStart+body:]) {
		return Share{}, errors.New("the share was mistyped or is damaged")
	}
	if s.data[0] != version {
		return Share{}, fmt.Errorf("the share is of version %d and this program knows version %d", s.data[0], version)
	}
	if n, t, c := s.Number(), s.Threshold(), s.Count(); n < 1 || n > c || t < 2 || t > c || c > maxCount {
		return Share{}, errors.New("it is no share that can be")
	}
	return s, nil
}
