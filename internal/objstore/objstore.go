// Package objstore is a flat store of immutable objects: an S3 bucket or a local directory behind one small interface.
package objstore

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Errors that every store returns, wrapped, for [errors.Is].
var (
	// ErrNotFound: no object has the key.
	ErrNotFound = errors.New("object not found")
	// ErrExists: IfAbsent was asked for and the key is taken.
	ErrExists = errors.New("object exists already")
	// ErrChanged: IfMatch was asked for and the object has another tag.
	ErrChanged = errors.New("object changed meanwhile")
	// ErrLocked: retention forbids the deletion or the shortening.
	ErrLocked = errors.New("object is locked by its retention")
	// ErrUnsupported: this store cannot do that.
	ErrUnsupported = errors.New("not supported by this store")
	// ErrNoSpace: the store or the disk below it is full.
	ErrNoSpace = errors.New("no space left in the store")
	// ErrAuth: the store refused the credentials.
	ErrAuth = errors.New("the store refused the credentials")
	// ErrUnreachable: the store did not answer; trying again later may help.
	ErrUnreachable = errors.New("the store cannot be reached")
)

// Info describes one stored object.
type Info struct {
	Key         string
	Size        int64 // bytes
	ETag        string
	Version     string    // empty in an unversioned store
	Modified    time.Time // the store's clock
	RetainUntil time.Time // zero: not locked, or not known (List does not tell)
	Deleted     bool      // a delete marker; only Versions yields these
}

// PutOptions are conditions on a Put.
type PutOptions struct {
	IfAbsent    bool      // create only; ErrExists otherwise. The put is a single request.
	IfMatch     string    // replace only this ETag; ErrChanged otherwise
	RetainUntil time.Time // lock against deletion until then; ErrUnsupported where the store has no locks
	SHA256      *[32]byte // of the content, from a caller that knows it; nil: the store computes it when it needs it
}

// Capabilities is what a store was found to be able to do.
type Capabilities struct {
	IfAbsent   bool `json:"if_absent"`   // conditional create is atomic
	IfMatch    bool `json:"if_match"`    // conditional replace is atomic
	Versioning bool `json:"versioning"`  // overwritten objects stay readable
	ObjectLock bool `json:"object_lock"` // retention is enforced by the store
}

// Store is a flat, strongly consistent object store. All methods are safe for concurrent use. Keys are
// slash-separated, relative, and made of [a-zA-Z0-9._-] and '/', see CheckKey; no key may be a folder of another.
type Store interface {
	// Put stores size bytes of r under key: whole or not at all. size must be exact.
	Put(ctx context.Context, key string, r io.Reader, size int64, o PutOptions) (Info, error)
	// Get reads n bytes from offset off; n < 0 reads to the end.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
	// GetVersion is Get of one version; "" is the newest.
	GetVersion(ctx context.Context, key, version string, off, n int64) (io.ReadCloser, error)
	// Stat describes the newest version of key.
	Stat(ctx context.Context, key string) (Info, error)
	// StatVersion describes one version; "" is the newest. Some services show the lock of the newest version only.
	StatVersion(ctx context.Context, key, version string) (Info, error)
	// List yields all objects under prefix in byte order of their keys.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Delete removes key, or in a versioned store hides it. Deleting what is not there is no error. A Put with
	// IfAbsent of a hidden key may be refused with ErrExists: services differ.
	Delete(ctx context.Context, key string) error
	// DeleteVersion removes one version, or a delete marker, for good; ErrLocked while its retention lasts, or ErrAuth where
	// the service does not say why. "" is the only version in an unversioned store. Deleting what is not there is no error.
	DeleteVersion(ctx context.Context, key, version string) error
	// Retain locks one version of key until the given time, which must not be earlier than the present lock.
	Retain(ctx context.Context, key, version string, until time.Time) error
	// Versions yields every version of key, newest first, delete markers included.
	Versions(ctx context.Context, key string) iter.Seq2[Info, error]
	// AllVersions yields every version of every object under prefix: keys in byte order, the versions of each newest first,
	// delete markers included. It costs as many requests as List; a service may refuse it to a user who may List.
	AllVersions(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Probe finds out by trying, under a scratch key, what the store can do.
	Probe(ctx context.Context) (Capabilities, error)
	// String names the store without any credential, for messages.
	String() string
}
