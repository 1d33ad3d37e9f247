package objstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"practicectl/internal/uerr"
)

func FuzzCheckKey(f *testing.F) {
	for _, s := range []string{"p/0a", "../x", "a/./b", "", "repo.json", "a/b.", "s/host/2026-11-23T09.00.00Z-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, key string) {
		err := CheckKey(key)
		if err != nil {
			if !errors.Is(err, ErrKey) {
				t.Errorf("%q: %v", key, err)
			}
			return
		}
		if !filepath.IsLocal(key) || filepath.ToSlash(filepath.Clean(key)) != key || strings.HasPrefix(key, ".") || strings.Contains(key, "/.") {
			t.Errorf("%q was taken", key)
		}
	})
}

func TestCheckPrefix(t *testing.T) {
	for prefix, ok := range map[string]bool{"": true, "p": true, "p/": true, "p/0": true, "p.": true, "/": false, "..": false, "p//": false, "../": false, "a b": false} {
		if (CheckPrefix(prefix) == nil) != ok {
			t.Errorf("%q: %v", prefix, CheckPrefix(prefix))
		}
	}
}

func TestEveryStoreErrorHasItsKind(t *testing.T) {
	st := stringer("s3://b at host")
	for err, kind := range map[error]uerr.Kind{ErrNotFound: uerr.NotFound, ErrExists: uerr.Precond, ErrAuth: uerr.Auth, ErrUnreachable: uerr.Unreachable, ErrNoSpace: uerr.NoSpace, ErrLocked: uerr.Precond, errors.New("x"): uerr.Failed} {
		got := Wrap("write", st, "p/1", fmt.Errorf("%w: because", err))
		if uerr.KindOf(got) != kind || !errors.Is(got, err) || !strings.Contains(got.Error(), "write p/1 in s3://b at host") {
			t.Errorf("%v: kind %v, %v", err, uerr.KindOf(got), got)
		}
	}
	if Wrap("write", st, "k", nil) != nil {
		t.Error("nil became an error")
	}
}

type stringer string

func (s stringer) String() string { return string(s) }
