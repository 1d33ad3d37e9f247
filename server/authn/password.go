// Package authn proves who somebody is: passwords under argon2id, one-time activation codes, sign-in, and sessions that
// end when idle.
//
// The database compares hashes and opens sessions itself (functions of schema sec); this package does the expensive
// arithmetic and never sees a stored hash. Nobody but the person ever knows a password: an administrator adds an account
// and hands over a code that is good once.
package authn

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"practicectl/server/problem"
)

// Password rules after NIST SP 800-63B-4: length, no composition rules, no forced changes.
const (
	MinPassword = 15  // characters, as long as there is no second factor
	MaxPassword = 256 // bytes
)

type params struct{ memory, time, threads uint32 } // KiB, passes, lanes

// current is what new hashes use; 64 MiB and three passes are about 0.1 s of one core.
var current = params{memory: 64 << 10, time: 3, threads: 4} //nolint:gochecknoglobals // constant

const (
	saltLen = 16
	hashLen = 32
)

// hasher computes argon2id for at most a few people at a time: each takes 64 MiB, and a crowd must not take it all.
type hasher struct{ slots chan struct{} }

func newHasher(parallel int) *hasher { return &hasher{slots: make(chan struct{}, parallel)} }

// fresh hashes password with a new salt under the current parameters and returns the PHC string.
func (h *hasher) fresh(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltLen)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	return h.with(ctx, password, current, salt)
}

// answer hashes password as a PHC prefix ("$argon2id$v=19$m=65536,t=3,p=4$<salt>") asks for. outdated reports whether
// the parameters are not the current ones.
func (h *hasher) answer(ctx context.Context, password, prefix string) (phc string, outdated bool, err error) {
	p, salt, err := parsePrefix(prefix)
	if err != nil {
		return "", false, err
	}
	phc, err = h.with(ctx, password, p, salt)
	return phc, p != current, err
}

func (h *hasher) with(ctx context.Context, password string, p params, salt []byte) (string, error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	key := argon2.IDKey([]byte(password), salt, p.time, p.memory, uint8(p.threads), hashLen)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.threads, b64.EncodeToString(salt), b64.EncodeToString(key)), nil
}

func parsePrefix(prefix string) (params, []byte, error) {
	var p params
	var version int
	parts := strings.Split(prefix, "$")
	if len(parts) != 5 || parts[1] != "argon2id" {
		return p, nil, errors.New("unknown password scheme")
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return p, nil, errors.New("unknown argon2 version")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil {
		return p, nil, errors.New("unreadable argon2 parameters")
	}
	if p.memory < 8 || p.memory > 1<<20 || p.time < 1 || p.time > 100 || p.threads < 1 || p.threads > 64 {
		return p, nil, errors.New("argon2 parameters out of bounds")
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil || len(salt) < 8 {
		return p, nil, errors.New("unreadable salt")
	}
	return p, salt, nil
}

// CheckPassword says what is wrong with a new password for an account. Problem: Invalid with field "password".
func CheckPassword(password, login, name string) error {
	low := strings.ToLower(password)
	switch {
	case !utf8.ValidString(password) || strings.ContainsRune(password, 0):
		return problem.Field("password", "invalid")
	case utf8.RuneCountInString(password) < MinPassword:
		return problem.Field("password", "too_short")
	case len(password) > MaxPassword:
		return problem.Field("password", "too_long")
	case len(login) > 3 && strings.Contains(low, strings.ToLower(login)), len(name) > 5 && strings.Contains(low, strings.ToLower(name)):
		return problem.Field("password", "contains_name")
	case distinct(low) < 5:
		return problem.Field("password", "too_simple")
	}
	return nil
}

func distinct(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}

// Hash returns the PHC string of a password under the current parameters, for a program that loads accounts in bulk.
func Hash(ctx context.Context, password string) (string, error) {
	return newHasher(1).fresh(ctx, password)
}
