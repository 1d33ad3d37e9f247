package s3

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/minio/minio-go/v7"

	"practicectl/internal/objstore"
)

func (s *store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	return s.GetVersion(ctx, key, "", off, n)
}

func (s *store) GetVersion(ctx context.Context, key, version string, off, n int64) (io.ReadCloser, error) {
	body, err := s.get(ctx, key, version, off, n)
	return body, s.wrap("read", key, err)
}

func (s *store) get(ctx context.Context, key, version string, off, n int64) (io.ReadCloser, error) {
	if err := errors.Join(ctx.Err(), objstore.CheckKey(key)); err != nil {
		return nil, err
	}
	if off < 0 {
		return nil, errors.New("negative offset")
	}
	if n == 0 {
		if _, err := s.stat(ctx, key, version); err != nil {
			return nil, err
		}
		return http.NoBody, nil
	}
	b := &body{ctx: ctx, s: s, key: key, version: version, off: off, left: n}
	if err := b.open(); err != nil {
		return nil, err
	}
	return b, nil
}

// body reads one object and goes on where it was when the connection breaks.
type body struct {
	ctx     context.Context
	s       *store
	key     string
	version string // empty: the newest
	off     int64
	left    int64 // bytes still wanted; negative: to the end
	etag    string
	r       io.ReadCloser
	broken  int
}

// open requests what is left. The ETag of the first answer is a condition of the later ones.
func (b *body) open() error {
	err := b.s.try(b.ctx, func(bool) error {
		o := minio.GetObjectOptions{VersionID: b.version}
		if b.off > 0 || b.left > 0 {
			end := int64(0)
			if b.left > 0 {
				end = b.off + b.left - 1
			}
			if err := o.SetRange(b.off, end); err != nil {
				return err
			}
		}
		if b.etag != "" {
			if err := o.SetMatchETag(b.etag); err != nil {
				return err
			}
		}
		r, info, _, err := b.s.core.GetObject(b.ctx, b.s.bucket, b.s.full(b.key), o)
		var resp minio.ErrorResponse
		if errors.As(err, &resp) && (resp.Code == "InvalidRange" || resp.StatusCode == http.StatusRequestedRangeNotSatisfiable) {
			b.r = http.NoBody // the range begins at or behind the end
			return nil
		}
		if err != nil {
			return err
		}
		b.r, b.etag = r, info.ETag
		return nil
	})
	if errors.Is(err, errCondition) {
		return objstore.ErrChanged
	}
	return err
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.off += int64(n)
	if b.left > 0 {
		b.left -= int64(n)
	}
	if err == nil || err == io.EOF {
		return n, err
	}
	f := b.s.classify(b.ctx, err)
	b.broken++
	if !f.retry || b.broken > b.s.attempts {
		return n, b.s.wrap("read", b.key, f.err)
	}
	_ = b.r.Close() // broken already
	if b.left == 0 {
		return n, io.EOF
	}
	if err := b.open(); err != nil {
		b.r = http.NoBody
		return n, b.s.wrap("read", b.key, err)
	}
	return n, nil
}

func (b *body) Close() error { return b.r.Close() }
