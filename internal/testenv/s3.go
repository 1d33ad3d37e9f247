package testenv

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"practicectl/internal/objstore"
	"practicectl/internal/objstore/s3"
	"practicectl/internal/s3gateway"
	"practicectl/internal/secret"
)

// S3Server is a private S3 server of one test, with versions and object lock.
type S3Server struct {
	Endpoint  string // "http://127.0.0.1:PORT", of MinIO "https://…"
	AccessKey string
	SecretKey string
	Dir       string // its data lies in Dir/data/BUCKET/KEY
	CAFile    string // trusts its certificate; empty without TLS

	gateway *s3gateway.Gateway
}

// S3 starts a private S3 server (a pinned versitygw, built once when it is missing) and stops it at the end of the
// test.
func S3(t testing.TB) *S3Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	binary, err := s3gateway.Find(ctx, ToolsDir(), func(s string) { t.Log(s) })
	if err != nil {
		t.Fatal(explain(err))
	}
	s := &S3Server{AccessKey: "access-" + rand.Text()[:8], SecretKey: "secret-" + rand.Text(), Dir: t.TempDir()}
	s.gateway, err = s3gateway.Start(ctx, s3gateway.Options{Binary: binary, Dir: s.Dir, AccessKey: secret.New(s.AccessKey), SecretKey: secret.New(s.SecretKey)})
	if err != nil {
		t.Fatal(explain(err))
	}
	t.Cleanup(s.Stop)
	s.Endpoint = s.gateway.Endpoint
	return s
}

// Stop ends the server before the test ends, as an outage does.
func (s *S3Server) Stop() { _ = s.gateway.Stop() } // a process that is gone already is what is wanted

// NewBucket makes an empty bucket, with object lock (and so with versions) or without, and returns its name.
func (s *S3Server) NewBucket(t testing.TB, lock bool) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	name := "test-" + strings.ToLower(rand.Text()[:12])
	if err := s3.MakeBucket(ctx, s.Options(name, ""), lock); err != nil {
		t.Fatal(err)
	}
	return name
}

// Options reach a bucket of the server.
func (s *S3Server) Options(bucket, prefix string) s3.Options {
	return s3.Options{Endpoint: s.Endpoint, Bucket: bucket, Prefix: prefix, AccessKey: secret.New(s.AccessKey), SecretKey: secret.New(s.SecretKey), CAFile: s.CAFile}
}

// Open opens a bucket of the server.
func (s *S3Server) Open(t testing.TB, bucket, prefix string) objstore.Store {
	t.Helper()
	st, err := s3.Open(s.Options(bucket, prefix))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// DeleteVersion deletes one version of an object for good, as somebody with the credentials does.
func (s *S3Server) DeleteVersion(ctx context.Context, bucket, key, version string) error {
	c, err := minio.New(strings.TrimPrefix(s.Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, "")})
	if err != nil {
		return err
	}
	return c.RemoveObject(ctx, bucket, key, minio.RemoveObjectOptions{VersionID: version, GovernanceBypass: true})
}
