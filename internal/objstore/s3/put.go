package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/minio/minio-go/v7"

	"practicectl/internal/objstore"
)

const (
	maxPut       = 5 << 30  // bytes; the protocol's limit for one PUT
	maxBuffered  = 64 << 20 // bytes; larger bodies that cannot be rewound go through a temporary file
	checksumHead = "X-Amz-Checksum-Sha256"
)

func (s *store) Put(ctx context.Context, key string, r io.Reader, size int64, o objstore.PutOptions) (objstore.Info, error) {
	info, err := s.put(ctx, key, r, size, o)
	return info, s.wrap("write", key, err)
}

func (s *store) put(ctx context.Context, key string, r io.Reader, size int64, o objstore.PutOptions) (objstore.Info, error) {
	info := objstore.Info{Key: key, Size: size}
	if err := errors.Join(ctx.Err(), objstore.CheckKey(key)); err != nil {
		return info, err
	}
	if size < 0 || size > maxPut {
		return info, fmt.Errorf("%w: an object of %d bytes", objstore.ErrUnsupported, size)
	}
	b, err := stage(r, size, o.SHA256)
	if err != nil {
		return info, err
	}
	defer b.discard()
	opts := minio.PutObjectOptions{
		DisableContentSha256: true, // the body's own SHA-256 is signed instead of a chain of chunks
		DisableMultipart:     true,
		UserMetadata:         map[string]string{checksumHead: base64.StdEncoding.EncodeToString(b.sum[:])},
	}
	if o.IfAbsent {
		opts.SetMatchETagExcept("*")
	} else if o.IfMatch != "" {
		opts.SetMatchETag(o.IfMatch)
	}
	if !o.RetainUntil.IsZero() {
		info.RetainUntil = wholeSecond(o.RetainUntil)
		opts.Mode, opts.RetainUntilDate = minio.Compliance, info.RetainUntil
	}
	err = s.try(ctx, func(maybeDone bool) error {
		if _, err := b.r.Seek(b.start, io.SeekStart); err != nil {
			return err
		}
		up, err := s.core.PutObject(ctx, s.bucket, s.full(key), &onlyReader{io.LimitReader(b.r, size)}, size, "", hex.EncodeToString(b.sum[:]), opts)
		if err != nil {
			if f := s.classify(ctx, err); maybeDone && errors.Is(f.err, errCondition) {
				return s.settle(ctx, key, b, &info, err)
			}
			return err
		}
		info.ETag, info.Version = up.ETag, versionID(up.VersionID)
		return nil
	})
	return info, conditionError(err, o)
}

// settle decides what "the condition does not hold" means after a try whose answer was lost: if the object holds our
// bytes, that try had succeeded.
func (s *store) settle(ctx context.Context, key string, b *staged, info *objstore.Info, refused error) error {
	body, obj, _, err := s.core.GetObject(ctx, s.bucket, s.full(key), minio.GetObjectOptions{})
	if err != nil {
		return refused
	}
	h := sha256.New()
	_, err = io.Copy(h, body)
	if err = errors.Join(err, body.Close()); err != nil {
		return err
	}
	if [sha256.Size]byte(h.Sum(nil)) != b.sum {
		return refused
	}
	info.ETag, info.Version = obj.ETag, versionID(obj.VersionID)
	return nil
}

func conditionError(err error, o objstore.PutOptions) error {
	locked := !o.RetainUntil.IsZero()
	switch {
	case err == nil:
		return nil
	case o.IfAbsent && errors.Is(err, errCondition):
		return objstore.ErrExists
	case o.IfMatch != "" && (errors.Is(err, errCondition) || errors.Is(err, objstore.ErrNotFound)):
		return objstore.ErrChanged
	case locked && errors.Is(err, errRefused):
		return fmt.Errorf("%w: the bucket has no object lock", objstore.ErrUnsupported)
	}
	return err
}

// onlyReader hides every other method, so that minio-go neither seeks nor closes the body itself.
type onlyReader struct{ io.Reader }

// wholeSecond rounds up: a lock is never shorter than asked for, and the protocol knows whole seconds only.
func wholeSecond(t time.Time) time.Time {
	if c := t.Truncate(time.Second); c.Before(t) {
		return c.Add(time.Second).UTC()
	}
	return t.UTC()
}

// staged is a body that can be sent again, with its hash.
type staged struct {
	r     io.ReadSeeker
	start int64
	sum   [sha256.Size]byte
	temp  *os.File
}

func (b *staged) discard() {
	if b.temp != nil {
		_ = b.temp.Close()           // only a copy of what the caller still has
		_ = os.Remove(b.temp.Name()) // already gone on systems that can unlink open files
	}
}

// stage makes sure that size bytes of r can be read again, and hashes them unless the sum of what can be rewound is known.
func stage(r io.Reader, size int64, known *[sha256.Size]byte) (*staged, error) {
	b, h := &staged{}, sha256.New()
	if seeker, ok := r.(io.ReadSeeker); ok {
		start, err := seeker.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		b.r, b.start = seeker, start
		if known != nil {
			b.sum = *known // of other bytes: the service refuses them
			return b, nil
		}
		err = objstore.Unpaced(r, func() error { return copyExactly(h, r, size) })
		if err != nil {
			return nil, err
		}
		h.Sum(b.sum[:0])
		return b, nil
	}
	if size <= maxBuffered {
		buf := bytes.NewBuffer(make([]byte, 0, size))
		if err := copyExactly(io.MultiWriter(h, buf), r, size); err != nil {
			return nil, err
		}
		b.r = bytes.NewReader(buf.Bytes())
		h.Sum(b.sum[:0])
		return b, nil
	}
	temp, err := os.CreateTemp("", "practice-put-*")
	if err != nil {
		return nil, err
	}
	b.temp, b.r = temp, temp
	if err := copyExactly(io.MultiWriter(h, temp), r, size); err != nil {
		b.discard()
		return nil, err
	}
	h.Sum(b.sum[:0])
	return b, nil
}

func copyExactly(w io.Writer, r io.Reader, size int64) error {
	n, err := io.Copy(w, io.LimitReader(r, size))
	if err != nil {
		return err
	}
	if n < size {
		return fmt.Errorf("%w: got %d of %d bytes", io.ErrUnexpectedEOF, n, size)
	}
	if extra, _ := io.CopyN(io.Discard, r, 1); extra > 0 {
		return fmt.Errorf("there are more than the promised %d bytes", size)
	}
	return nil
}
