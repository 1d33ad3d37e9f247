package s3

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/minio/minio-go/v7"

	"practicectl/internal/objstore"
)

func (s *store) Stat(ctx context.Context, key string) (objstore.Info, error) {
	return s.StatVersion(ctx, key, "")
}

func (s *store) StatVersion(ctx context.Context, key, version string) (objstore.Info, error) {
	if err := errors.Join(ctx.Err(), objstore.CheckKey(key)); err != nil {
		return objstore.Info{}, s.wrap("look up", key, err)
	}
	info, err := s.stat(ctx, key, version)
	return info, s.wrap("look up", key, err)
}

func (s *store) stat(ctx context.Context, key, version string) (info objstore.Info, err error) {
	err = s.try(ctx, func(bool) error {
		o, err := s.core.StatObject(ctx, s.bucket, s.full(key), minio.StatObjectOptions{VersionID: version})
		if err != nil {
			return err
		}
		info = s.describe(o)
		// The retention call is not answered alike by all services; the header is.
		if until, err := time.Parse(time.RFC3339, o.Metadata.Get("X-Amz-Object-Lock-Retain-Until-Date")); err == nil {
			info.RetainUntil = until.UTC()
		}
		return nil
	})
	if errors.Is(err, objstore.ErrNotFound) && !s.bucketSeen.Load() {
		// The answer to a HEAD has no body that could say what is missing: the object or the whole bucket.
		if exists, berr := s.core.BucketExists(ctx, s.bucket); berr == nil && !exists {
			return info, errNoBucket
		}
		s.bucketSeen.Store(true)
	}
	return info, err
}

func (s *store) describe(o minio.ObjectInfo) objstore.Info {
	return objstore.Info{Key: s.short(o.Key), Size: o.Size, ETag: trimQuotes(o.ETag), Version: versionID(o.VersionID), Modified: o.LastModified.UTC(), Deleted: o.IsDeleteMarker}
}

func trimQuotes(tag string) string {
	if len(tag) >= 2 && tag[0] == '"' {
		return tag[1 : len(tag)-1]
	}
	return tag
}

// versionID maps the name that unversioned objects have in the protocol to none.
func versionID(id string) string {
	if id == "null" {
		return ""
	}
	return id
}

func (s *store) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		if err := objstore.CheckPrefix(prefix); err != nil {
			yield(objstore.Info{}, s.wrap("list", prefix, err))
			return
		}
		s.list(ctx, minio.ListObjectsOptions{Prefix: s.full(prefix), Recursive: true}, "list", prefix, yield)
	}
}

// list yields what the service lists, and begins again after the last key when a page could not be had.
func (s *store) list(ctx context.Context, o minio.ListObjectsOptions, op, key string, yield func(objstore.Info, error) bool) {
	enough := false
	err := s.try(ctx, func(bool) error {
		pages, cancel := context.WithCancel(ctx)
		defer cancel()
		for obj := range s.core.ListObjectsIter(pages, s.bucket, o) {
			if obj.Err != nil {
				return obj.Err
			}
			s.answered.Store(true)
			if enough = !yield(s.describe(obj), nil); enough {
				return nil
			}
			o.StartAfter = obj.Key
		}
		return ctx.Err()
	})
	if err != nil && !enough {
		yield(objstore.Info{}, s.wrap(op, key, err))
	}
}

func (s *store) Versions(ctx context.Context, key string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		if err := objstore.CheckKey(key); err != nil {
			yield(objstore.Info{}, s.wrap("list the versions of", key, err))
			return
		}
		for info, err := range s.AllVersions(ctx, key) {
			if err == nil && info.Key > key {
				return
			}
			if (err != nil || info.Key == key) && !yield(info, err) {
				return
			}
		}
	}
}

// AllVersions keeps the service's name of versions from before the bucket had any ("null"), so that each can be read.
func (s *store) AllVersions(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		if err := objstore.CheckPrefix(prefix); err != nil {
			yield(objstore.Info{}, s.wrap("list the versions of", prefix, err))
			return
		}
		pages, cancel := context.WithCancel(ctx)
		defer cancel()
		for obj := range s.core.ListObjectsIter(pages, s.bucket, minio.ListObjectsOptions{Prefix: s.full(prefix), Recursive: true, WithVersions: true}) {
			if obj.Err != nil {
				yield(objstore.Info{}, s.wrap("list the versions of", prefix, s.classify(ctx, obj.Err).err))
				return
			}
			info := s.describe(obj)
			info.Version = obj.VersionID
			if !yield(info, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(objstore.Info{}, err)
		}
	}
}

func (s *store) Delete(ctx context.Context, key string) error {
	if err := errors.Join(ctx.Err(), objstore.CheckKey(key)); err != nil {
		return s.wrap("delete", key, err)
	}
	err := s.try(ctx, func(bool) error {
		return s.core.RemoveObject(ctx, s.bucket, s.full(key), minio.RemoveObjectOptions{})
	})
	if errors.Is(err, objstore.ErrNotFound) {
		return nil
	}
	return s.wrap("delete", key, s.lockedOr(ctx, key, "", time.Now(), err))
}

func (s *store) DeleteVersion(ctx context.Context, key, version string) error {
	if err := errors.Join(ctx.Err(), objstore.CheckKey(key)); err != nil {
		return s.wrap("delete", key, err)
	}
	err := s.try(ctx, func(bool) error { return s.removeVersion(ctx, key, version) })
	if errors.Is(err, objstore.ErrNotFound) {
		return nil
	}
	return s.wrap("delete", key, s.lockedOr(ctx, key, version, time.Now(), err))
}

// Retain locks in compliance mode: not even the owner of the bucket shortens it.
func (s *store) Retain(ctx context.Context, key, version string, until time.Time) error {
	if err := errors.Join(ctx.Err(), objstore.CheckKey(key)); err != nil {
		return s.wrap("lock", key, err)
	}
	until = wholeSecond(until)
	mode := minio.Compliance
	err := s.try(ctx, func(bool) error {
		return s.core.PutObjectRetention(ctx, s.bucket, s.full(key), minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &until, VersionID: version})
	})
	err = s.lockedOr(ctx, key, version, until, err)
	if errors.Is(err, errRefused) {
		err = fmt.Errorf("%w: the bucket has no object lock", objstore.ErrUnsupported)
	}
	return s.wrap("lock", key, err)
}

// lockedOr tells a refusal because of a lock from other refusals: services answer it with different codes, so the
// present retention is read. than is the time up to which the operation needed the lock to have ended.
func (s *store) lockedOr(ctx context.Context, key, version string, than time.Time, err error) error {
	if err == nil || objstore.KindOf(err) == objstore.KindOf(objstore.ErrUnreachable) || errors.Is(err, objstore.ErrNotFound) {
		return err
	}
	if now, serr := s.stat(ctx, key, version); serr == nil && now.RetainUntil.After(than) {
		return fmt.Errorf("%w: until %s", objstore.ErrLocked, now.RetainUntil.Format(time.RFC3339))
	}
	return err
}
