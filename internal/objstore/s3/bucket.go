package s3

import (
	"context"
	"errors"

	"github.com/minio/minio-go/v7"

	"practicectl/internal/uerr"
)

// MakeBucket makes the bucket of o; lock asks for object lock (and so for versions), which most services allow only
// at this moment. Error kind: Precond when the name is taken.
func MakeBucket(ctx context.Context, o Options, lock bool) error {
	s, err := open(o)
	if err != nil {
		return uerr.New(uerr.Config, "open the S3 store", o.Bucket, err, "correct the section [backup] in practice.toml")
	}
	err = s.try(ctx, func(bool) error {
		err := s.core.MakeBucket(ctx, s.bucket, minio.MakeBucketOptions{Region: o.Region, ObjectLocking: lock})
		if code := minio.ToErrorResponse(err).Code; code == "BucketAlreadyOwnedByYou" || code == "BucketAlreadyExists" {
			return minio.ErrorResponse{Code: "PreconditionFailed", Message: "the bucket exists already", StatusCode: 412}
		}
		return err
	})
	if errors.Is(err, errCondition) {
		err = uerr.New(uerr.Precond, "", "", err, "choose another name, or use the bucket as it is")
	}
	return s.wrap("make the bucket", "", err)
}
