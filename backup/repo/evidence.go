package repo

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Evidence of drills is a chain of signed documents for each host that drills: each names the one before by its SHA-256.

// EvidencePrefix is where the evidence lies.
const EvidencePrefix = "e/"

const kindEvidence = "evidence"

// EvidenceLock is how long evidence is locked in a store with object lock: as long as the longest-kept snapshots.
const EvidenceLock = 730 * 24 * time.Hour

// MaxEvidence bounds an object of evidence, in bytes.
const MaxEvidence = 1 << 20

var evidenceForm = regexp.MustCompile(`^e/([a-z0-9._-]{1,64})/([0-9]{8})$`)

// EvidenceLink is what makes a chain of pieces of evidence.
type EvidenceLink struct {
	Format     int       `json:"format"`
	Repository string    `json:"repository"`
	Owner      PublicKey `json:"owner"`              // of the repository
	Host       string    `json:"host"`               // that drilled
	Number     int       `json:"number"`             // from 1
	Previous   string    `json:"previous,omitempty"` // SHA-256 of the object before; empty: the first
	Key        PublicKey `json:"public_key"`         // of the host; the same in the whole chain
}

// EvidenceKey is the object of a host's piece of evidence.
func EvidenceKey(host string, number int) string {
	return fmt.Sprintf("%s%s/%08d", EvidencePrefix, host, number)
}

// ParseEvidenceKey takes a key apart.
func ParseEvidenceKey(key string) (host string, number int, err error) {
	m := evidenceForm.FindStringSubmatch(key)
	if m == nil {
		return "", 0, errors.New("the name has not the form of a piece of evidence")
	}
	number, err = strconv.Atoi(m[2])
	return m[1], number, err
}

// SignEvidence makes the object of v, which embeds an [EvidenceLink].
func SignEvidence(v any, key ed25519.PrivateKey) ([]byte, error) {
	return sign(kindEvidence, v, key)
}

// ParseEvidence checks the object stored under key and reads it into v. That the signer is the right one, and that the chain
// holds, is for the caller to check, who knows the others.
func ParseEvidence(key string, data []byte, v any) (EvidenceLink, error) {
	var l EvidenceLink
	host, number, err := ParseEvidenceKey(key)
	if err != nil {
		return l, err
	}
	line, sig, rest, err := split(data)
	if err != nil {
		return l, err
	}
	if err := decode(line, &l.Format, &l); err != nil {
		return l, err
	}
	if err := verify(kindEvidence, line, sig, ed25519.PublicKey(l.Key)); err != nil {
		return l, err
	}
	switch {
	case len(rest) > 0:
		return l, errors.New("something was added to it")
	case l.Host != host || l.Number != number:
		return l, errors.New("it was stored under another name")
	}
	return l, json.Unmarshal(line, v)
}
