package repo

import (
	"context"
	"errors"

	"practicectl/internal/diskspace"
	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

// StoreError turns an error of the store, met while doing op with object, into one for people. An error that already
// has a kind keeps it.
func StoreError(op string, st objstore.Store, object string, err error) error {
	var known *uerr.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, objstore.ErrNotFound): // what was listed or referred to must be there
		return uerr.New(uerr.Integrity, op, subject(st, object), errors.New("the object is missing"), "practicectl backup verify")
	case errors.As(err, &known), errors.Is(err, context.Canceled):
		return err
	}
	kind, hint := uerr.Failed, ""
	switch {
	case errors.Is(err, objstore.ErrUnreachable), errors.Is(err, context.DeadlineExceeded):
		kind, hint = uerr.Unreachable, "check the network and the address of the store, then run the same command again"
	case errors.Is(err, objstore.ErrAuth):
		kind, hint = uerr.Auth, "check the credentials file of the store"
	case errors.Is(err, objstore.ErrNoSpace):
		kind, hint = uerr.NoSpace, "make room in the store, then run the same command again: what is stored already is used"
	}
	return uerr.New(kind, op, subject(st, object), err, hint)
}

func subject(st objstore.Store, object string) string {
	if object == "" {
		return st.String()
	}
	return st.String() + " " + object
}

// CacheError is the error for a file of the host's own cache that cannot be written or read. Error kinds: NoSpace, Precond.
func CacheError(path string, err error) error {
	if diskspace.IsFull(err) {
		return uerr.New(uerr.NoSpace, "keep the backup's cache", path, err, "make room on that disk, then run the same command again")
	}
	return uerr.New(uerr.Precond, "keep the backup's cache", path, err, "run the command as the account that owns the instance")
}

// Tampered is the error for an object that is not what its name or signature says.
func Tampered(op string, st objstore.Store, object string, err error) error {
	var known *uerr.Error
	if errors.As(err, &known) && known.Kind != uerr.Integrity {
		return err // a wrong identity, a store that went away: not tampering
	}
	return uerr.New(uerr.Integrity, op, st.String()+" "+object, err, "find out what else was changed: practicectl backup verify")
}
