package sealed

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"

	"practicectl/internal/uerr"
)

// Algorithm names the kind of a key.
type Algorithm string

// The kinds of keys that we make. One file is sealed to recipients of one of them only. A key of an age plugin has the kind
// "plugin-<name>"; the plugin says what it may be mixed with.
const (
	X25519      Algorithm = "x25519"
	PostQuantum Algorithm = "mlkem768x25519"
)

// ParseRecipients reads public keys: "age1…", the post-quantum "age1pq1…", or "age1<plugin>1…" of a plugin of age. Error kind:
// Config.
func ParseRecipients(keys []string) ([]age.Recipient, error) {
	if len(keys) == 0 {
		return nil, uerr.New(uerr.Config, "read the recipients", "", errors.New("there are none"), "make one with: practicectl key generate --out FILE")
	}
	out := make([]age.Recipient, 0, len(keys))
	seen := map[string]bool{}
	for i, k := range keys {
		r, err := parseRecipient(strings.TrimSpace(k))
		if err != nil {
			return nil, uerr.New(uerr.Config, "read recipient", fmt.Sprint(i+1), err, "a recipient is the line beginning with age1 that practicectl key generate prints")
		}
		if s := fmt.Sprint(r); seen[s] {
			return nil, uerr.New(uerr.Config, "read recipient", fmt.Sprint(i+1), errors.New("it is listed twice"), "name each recipient once")
		} else {
			seen[s] = true
		}
		out = append(out, r)
	}
	return out, checkMix(out)
}

func parseRecipient(s string) (age.Recipient, error) {
	switch {
	case strings.HasPrefix(strings.ToUpper(s), "AGE-SECRET-KEY-"):
		return nil, errors.New("this is a SECRET key; it must not be on this host. Replace it and destroy this copy")
	case strings.HasPrefix(s, "age1pq1"):
		if r, err := age.ParseHybridRecipient(s); err == nil {
			return r, nil
		}
	case strings.HasPrefix(s, "age1"):
		if r, err := age.ParseX25519Recipient(s); err == nil {
			return r, nil
		}
		if r, err := parsePluginRecipient(s); err == nil {
			return r, nil
		}
	default:
		return nil, errors.New("it does not begin with age1")
	}
	return nil, errors.New("it is not a whole age public key (mistyped or cut short)")
}

// AlgorithmOf tells the kind of a recipient; empty for a kind that is not known.
func AlgorithmOf(r age.Recipient) Algorithm {
	switch r := r.(type) {
	case *age.X25519Recipient:
		return X25519
	case *age.HybridRecipient:
		return PostQuantum
	case pluginRecipient:
		return Algorithm("plugin-" + r.Name())
	}
	return ""
}

// native tells whether the kind is one of ours.
func (a Algorithm) native() bool { return a == X25519 || a == PostQuantum }

func checkMix(rs []age.Recipient) error {
	if len(rs) == 0 {
		return uerr.New(uerr.Config, "encrypt", "", errors.New("there are no recipients"), "make one with: practicectl key generate --out FILE")
	}
	var kind Algorithm
	for _, r := range rs {
		a := AlgorithmOf(r)
		if kind != "" && a.native() && a != kind {
			return mixed(kind, a)
		}
		if a.native() {
			kind = a
		}
	}
	return nil
}

func mixed(a, b Algorithm) error {
	return uerr.New(uerr.Config, "encrypt", "", fmt.Errorf("recipients of kind %s and %s are mixed: the weaker one would open what the stronger protects", a, b),
		"use recipients of one kind: all age1… or all age1pq1…")
}

// Fingerprint is a short name of a public key for people to compare: 80 bits of its SHA-256 as five groups.
func Fingerprint(recipient string) string {
	sum := sha256.Sum256([]byte(strings.TrimSpace(recipient)))
	h := hex.EncodeToString(sum[:10])
	return strings.Join([]string{h[0:4], h[4:8], h[8:12], h[12:16], h[16:20]}, "-")
}
