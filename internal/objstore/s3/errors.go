package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/minio/minio-go/v7"

	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

// errNoBucket is not ErrNotFound: a bucket that is missing must never read as an object that is missing.
var errNoBucket = errors.New("the bucket does not exist")

// failure is a classified error of one request.
type failure struct {
	err       error
	retry     bool // trying again may help
	ambiguous bool // the request may have taken effect although it failed
}

// classify maps what minio-go returned. It loses the original error on purpose: its text may hold addresses with
// parameters, or what the server echoes.
func (s *store) classify(ctx context.Context, err error) failure {
	if cerr := ctx.Err(); cerr != nil {
		return failure{err: cerr, ambiguous: true}
	}
	var resp minio.ErrorResponse
	if errors.As(err, &resp) {
		s.answered.Store(true)
		return s.classifyResponse(resp)
	}
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		verify  *tls.CertificateVerificationError
		dns     *net.DNSError
		ue      *url.Error
	)
	if errors.As(err, &ue) {
		err = ue.Err // without method and address
	}
	why := errors.New(s.secrets.Replace(err.Error()))
	switch {
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &verify):
		return failure{err: uerr.New(uerr.Auth, "", "", fmt.Errorf("the certificate of the store is not trusted: %w", why), "name the CA that signed it in the store's ca_file")}
	case errors.As(err, &record):
		return failure{err: fmt.Errorf("%w: it does not speak TLS on this port", objstore.ErrUnreachable)}
	case errors.As(err, &dns) && dns.IsNotFound:
		return failure{err: fmt.Errorf("%w: %w", objstore.ErrUnreachable, why)}
	}
	return failure{err: fmt.Errorf("%w: %w", objstore.ErrUnreachable, why), retry: true, ambiguous: true}
}

func (s *store) classifyResponse(r minio.ErrorResponse) failure {
	why := fmt.Errorf("%s (%s)", s.secrets.Replace(r.Error()), s.secrets.Replace(r.Code))
	is := func(err error) failure { return failure{err: fmt.Errorf("%w: %w", err, why)} }
	switch r.Code {
	case "NoSuchBucket":
		return is(errNoBucket)
	case "NoSuchKey", "NoSuchVersion", "NotFound":
		return is(objstore.ErrNotFound)
	case "PreconditionFailed":
		return is(errCondition)
	case "ConditionalRequestConflict", "OperationAborted": // two conditional writes at once: one has to ask again
		return failure{err: fmt.Errorf("%w: %w", objstore.ErrUnreachable, why), retry: true}
	case "RequestTimeTooSkewed":
		return failure{err: uerr.New(uerr.Auth, "", "", fmt.Errorf("%w: %w", objstore.ErrAuth, why), "set the clock of this machine (timedatectl set-ntp true)")}
	case "BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "InvalidDigest", "IncompleteBody":
		return failure{err: uerr.New(uerr.Integrity, "", "", fmt.Errorf("the data was changed on its way to the store: %w", why), "run the command again; if it happens often, test the network and the memory of this machine"), retry: true}
	case "XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "InsufficientCapacity":
		return is(objstore.ErrNoSpace)
	case "NotImplemented", "ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration":
		return is(objstore.ErrUnsupported)
	}
	switch {
	case r.StatusCode == http.StatusNotFound:
		return is(objstore.ErrNotFound)
	case r.StatusCode == http.StatusPreconditionFailed:
		return is(errCondition)
	case r.StatusCode == http.StatusNotModified, r.StatusCode == http.StatusNotImplemented, r.StatusCode == http.StatusMethodNotAllowed:
		return is(objstore.ErrUnsupported)
	case r.StatusCode == http.StatusInsufficientStorage:
		return is(objstore.ErrNoSpace)
	case r.StatusCode == http.StatusForbidden, r.StatusCode == http.StatusUnauthorized:
		return is(objstore.ErrAuth)
	case r.StatusCode >= 500, r.StatusCode == http.StatusTooManyRequests, r.StatusCode == http.StatusRequestTimeout:
		return failure{err: fmt.Errorf("%w: %w", objstore.ErrUnreachable, why), retry: true, ambiguous: true}
	}
	return is(errRefused)
}

var (
	// errCondition is a condition that did not hold; the operation knows which one it set.
	errCondition = errors.New("the condition does not hold")
	// errRefused is an answer without a name of its own, mostly 400.
	errRefused = errors.New("the store refused the request")
)

func (s *store) wrap(op, key string, err error) error {
	var ue *uerr.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNoBucket):
		return uerr.New(uerr.NotFound, op, s.name, err, "make the bucket first, with object lock if the service has it")
	case errors.As(err, &ue) && ue.Op == "":
		return uerr.New(ue.Kind, op, s.name, ue.Err, ue.Hint)
	}
	return objstore.Wrap(op, s, key, err)
}
