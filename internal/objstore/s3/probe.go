package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"practicectl/internal/objstore"
)

const probePrefix = "probe/"

// Probe tries everything for real. On a bucket with object lock it leaves one object of one byte behind, locked for
// ten seconds, which the next probe removes.
func (s *store) Probe(ctx context.Context) (objstore.Capabilities, error) {
	c, err := s.probe(ctx)
	return c, s.wrap("probe", "", err)
}

func (s *store) probe(ctx context.Context) (objstore.Capabilities, error) {
	s.sweep(ctx)
	scratch := probePrefix + rand.Text()
	c, err := objstore.ProbeConditions(ctx, s, scratch)
	if err != nil {
		return c, err
	}
	err = s.try(ctx, func(bool) error {
		v, err := s.core.GetBucketVersioning(ctx, s.bucket)
		c.Versioning = err == nil && v.Enabled()
		return err
	})
	if err != nil && !errors.Is(err, objstore.ErrUnsupported) && !errors.Is(err, objstore.ErrAuth) {
		return c, err // these two mean: no versioning, or not allowed to know
	}
	c.ObjectLock, err = s.probeLock(ctx, scratch)
	return c, err
}

// probeLock writes a locked byte and tries to delete that version.
func (s *store) probeLock(ctx context.Context, scratch string) (bool, error) {
	info, err := s.put(ctx, scratch, strings.NewReader("x"), 1, objstore.PutOptions{RetainUntil: time.Now().Add(10 * time.Second)})
	switch {
	case errors.Is(err, objstore.ErrUnreachable), ctx.Err() != nil:
		return false, err
	case err != nil: // no locks; some services store the object all the same
		return false, s.Delete(ctx, scratch)
	}
	gone := s.removeVersion(ctx, scratch, info.Version)
	now, err := s.stat(ctx, scratch, info.Version)
	locked := gone != nil && err == nil && !now.RetainUntil.IsZero()
	if err != nil && !errors.Is(err, objstore.ErrNotFound) {
		return false, err
	}
	return locked, nil
}

// sweep removes what earlier probes left, as far as it may.
func (s *store) sweep(ctx context.Context) {
	for obj := range s.core.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.full(probePrefix), Recursive: true, WithVersions: true}) {
		if obj.Err != nil || s.removeVersion(ctx, s.short(obj.Key), obj.VersionID) != nil {
			return
		}
	}
}

func (s *store) removeVersion(ctx context.Context, key, version string) error {
	return s.core.RemoveObject(ctx, s.bucket, s.full(key), minio.RemoveObjectOptions{VersionID: version})
}
