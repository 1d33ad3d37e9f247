// Package s3 is an object store in a bucket of any S3-compatible service.
//
// Every object is written by one signed PUT of known size with its SHA-256, so that a condition on the write is
// checked by the service at the moment the object appears. Keys of one store lie under an optional prefix, so that
// several repositories can share a bucket.
package s3

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"practicectl/internal/objstore"
	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

// Options say which bucket and how to reach it.
type Options struct {
	Endpoint  string // "https://host[:port]"; "http://" where the line is trusted
	Region    string // empty: "us-east-1", or found out on Amazon
	Bucket    string // must exist
	Prefix    string // empty, or such as "clinic-7": all keys lie below it
	AccessKey secret.Text
	SecretKey secret.Text
	CAFile    string // PEM certificates trusted besides the system's; empty: none

	Proxy          func(*http.Request) (*url.URL, error) // nil: no proxy
	ConnectTimeout time.Duration                         // 0: 10 s
	StallTimeout   time.Duration                         // longest silence on a connection; 0: 60 s
	Attempts       int                                   // tries of one operation once the store has answered; 0: 6
}

type store struct {
	core     minio.Core
	bucket   string
	prefix   string // empty or ending in "/"
	name     string
	secrets  *strings.Replacer
	attempts int
	answered atomic.Bool // the store has answered once: be patient with it from now on

	bucketSeen atomic.Bool // the bucket is known to exist
}

var _ objstore.Store = (*store)(nil)

// Open prepares the store. It sends nothing; [objstore.Store.Probe] does. Error kind: Config.
func Open(o Options) (objstore.Store, error) {
	st, err := open(o)
	if err != nil {
		return nil, uerr.New(uerr.Config, "open the S3 store", o.Bucket, err, "correct the section [backup] in practice.toml")
	}
	return st, nil
}

func open(o Options) (*store, error) {
	u, err := url.Parse(o.Endpoint)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, errors.New("the endpoint must be https://host[:port]")
	case u.User != nil:
		return nil, errors.New("the endpoint must not contain a user name or password")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return nil, errors.New("the endpoint must not contain a path; name the bucket and the prefix apart from it")
	case o.Bucket == "":
		return nil, errors.New("no bucket is named")
	case o.AccessKey.Empty() || o.SecretKey.Empty():
		return nil, errors.New("the access key or the secret key is empty")
	}
	prefix := strings.Trim(o.Prefix, "/")
	if prefix != "" {
		if err := objstore.CheckKey(prefix); err != nil {
			return nil, fmt.Errorf("prefix: %w", err)
		}
		prefix += "/"
	}
	region := o.Region
	if region == "" && !strings.HasSuffix(u.Hostname(), ".amazonaws.com") {
		region = "us-east-1" // what services without regions expect; saves asking
	}
	transport, err := newTransport(o, u)
	if err != nil {
		return nil, err
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds:      credentials.NewStaticV4(o.AccessKey.Reveal(), o.SecretKey.Reveal(), ""),
		Secure:     u.Scheme == "https",
		Region:     region,
		Transport:  transport,
		MaxRetries: 1, // retry.go tries again: it has to know when an earlier try may have succeeded
	})
	if err != nil {
		return nil, err
	}
	attempts := o.Attempts
	if attempts <= 0 {
		attempts = 6
	}
	return &store{
		core: minio.Core{Client: client}, bucket: o.Bucket, prefix: prefix, attempts: attempts,
		name:    fmt.Sprintf("s3://%s/%s at %s", o.Bucket, strings.TrimSuffix(prefix, "/"), u.Host),
		secrets: strings.NewReplacer(o.SecretKey.Reveal(), "[redacted]", o.AccessKey.Reveal(), "[redacted]"),
	}, nil
}

func (s *store) String() string { return s.name }

func (s *store) full(key string) string { return s.prefix + key }

func (s *store) short(full string) string { return strings.TrimPrefix(full, s.prefix) }
