package objstore

import (
	"errors"
	"fmt"
	"strings"

	"practicectl/internal/uerr"
)

// MaxKey is the longest key, in bytes; with a bucket prefix it must stay below S3's 1024.
const MaxKey = 512

// ErrKey: the key is not one that every store can hold.
var ErrKey = errors.New("not a valid key")

// CheckKey returns ErrKey, wrapped, unless key is relative, made of [a-zA-Z0-9._-] and '/', and without segments
// that are empty, begin with '.' or end with '.'. So no key can leave a folder or collide with a store's own files.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return badKey(key, "its length must be 1 to %d bytes", MaxKey)
	}
	for seg := range strings.SplitSeq(key, "/") {
		switch {
		case seg == "":
			return badKey(key, "it has an empty segment")
		case seg[0] == '.' || seg[len(seg)-1] == '.':
			return badKey(key, "a segment begins or ends with a dot")
		}
	}
	return checkChars(key)
}

// CheckPrefix is CheckKey for a prefix of keys: it may be empty, end in '/' or stop within a segment.
func CheckPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	if strings.HasSuffix(prefix, "/") || strings.HasSuffix(prefix, ".") {
		return CheckKey(prefix + "x")
	}
	return CheckKey(prefix)
}

func checkChars(key string) error {
	for i := range len(key) {
		c := key[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-' || c == '/') {
			return badKey(key, "byte %d is not one of a-z A-Z 0-9 . _ - /", i)
		}
	}
	return nil
}

func badKey(key, why string, args ...any) error {
	if len(key) > 80 {
		key = key[:80] + "…"
	}
	return fmt.Errorf("%w: %q: "+why, append([]any{ErrKey, key}, args...)...)
}

// KindOf maps the errors of stores to kinds: what a person has to do about them.
func KindOf(err error) uerr.Kind {
	for _, k := range []struct {
		err  error
		kind uerr.Kind
	}{
		{ErrNotFound, uerr.NotFound}, {ErrExists, uerr.Precond}, {ErrChanged, uerr.Precond}, {ErrLocked, uerr.Precond},
		{ErrUnsupported, uerr.Precond}, {ErrNoSpace, uerr.NoSpace}, {ErrAuth, uerr.Auth}, {ErrUnreachable, uerr.Unreachable},
	} {
		if errors.Is(err, k.err) {
			return k.kind
		}
	}
	return uerr.KindOf(err)
}

// Wrap makes the error of one store operation for a person; nil stays nil. op is a verb ("write"), key may be empty.
func Wrap(op string, st interface{ String() string }, key string, err error) error {
	if err == nil {
		return nil
	}
	subject := st.String()
	if key != "" {
		subject = key + " in " + subject
	}
	hint := ""
	switch kind := KindOf(err); kind {
	case uerr.Unreachable:
		hint = "check the network and that the store is up (a disk: that it is mounted), then run the command again"
	case uerr.Auth:
		hint = "check the access key and its file (backup.credentials in practice.toml) and its rights on the bucket"
	case uerr.NoSpace:
		hint = "free some space in the store, then run the command again"
	}
	return uerr.New(KindOf(err), op, subject, err, hint)
}
