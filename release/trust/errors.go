package trust

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"practicectl/internal/diskspace"
	"practicectl/internal/uerr"
	"practicectl/release"
)

const (
	hintRetry   = "check the address and the network, then try again; practicectl config show"
	hintTamper  = "do not install from this source; tell your vendor, and compare with another source"
	hintExpired = "bring the source up to date: practicectl mirror sync"
)

// tooLong is a file that goes on after its signed or allowed length.
type tooLong struct {
	name string
	max  int64
}

func (e *tooLong) Error() string { return fmt.Sprintf("%s is longer than %d bytes", e.name, e.max) }

// staleError is metadata that expired and may not be used any more.
type staleError struct {
	what    string
	expired time.Time
	grace   time.Duration
}

func (e *staleError) Error() string {
	text := fmt.Sprintf("%s expired on %s", e.what, e.expired.UTC().Format("2006-01-02"))
	if e.grace > 0 {
		text += fmt.Sprintf(", longer ago than the %d days allowed here", e.grace/day)
	}
	return text
}

// clockError is a clock that is too far ahead of every signature.
type clockError struct{ now, issued time.Time }

func (e *clockError) Error() string {
	return fmt.Sprintf("this machine's clock says %s, but the newest release information was signed on %s",
		e.now.Format("2006-01-02"), e.issued.Format("2006-01-02"))
}

// classify gives an error of go-tuf or of a transfer its kind, and the next command.
func classify(op, subject string, err error) error {
	var done *uerr.Error
	if err == nil || errors.As(err, &done) {
		return err
	}
	wrap := func(k uerr.Kind, hint string) error { return uerr.New(k, op, subject, err, hint) }
	var (
		status *statusError
		absent *absentError
		http4  *metadata.ErrDownloadHTTP
		stale  *staleError
		clock  *clockError
		long   *tooLong
		onDisk *fs.PathError
		link   *os.LinkError
		dial   *url.Error
		netErr net.Error
	)
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case diskspace.IsFull(err):
		return wrap(uerr.NoSpace, "free some space on that disk and try again; what was fetched is kept")
	case errors.As(err, &clock):
		return wrap(uerr.Precond, "set the clock of this machine and try again: date")
	case errors.As(err, &stale), errors.Is(err, &metadata.ErrExpiredMetadata{}):
		return wrap(uerr.Precond, hintExpired)
	case errors.Is(err, release.ErrNewerFormat):
		return wrap(uerr.Precond, "update practicectl first: practicectl update apply")
	case errors.As(err, &status) && status.code >= 300 && status.code < 400:
		return wrap(uerr.Unreachable, "give the address it redirects to as the source")
	case errors.As(err, &status) && (status.code == http.StatusUnauthorized || status.code == http.StatusForbidden):
		return wrap(uerr.Unreachable, "the source refuses this machine: check its address and access rules")
	case errors.As(err, &absent):
		return wrap(uerr.Unreachable, "mount or plug in the medium, or correct the source: practicectl config show")
	case errors.As(err, &status), errors.As(err, &http4):
		return wrap(uerr.Unreachable, hintRetry)
	case errors.As(err, &long), errors.Is(err, &metadata.ErrRepository{}):
		return wrap(uerr.Integrity, hintTamper)
	case errors.As(err, &onDisk), errors.As(err, &link): // before net.Error, which every errno is
		return wrap(uerr.Precond, "check that folder and its permissions")
	case errors.Is(err, errStalled), errors.Is(err, context.DeadlineExceeded), errors.As(err, &dial), errors.As(err, &netErr), isCut(err):
		return wrap(uerr.Unreachable, hintRetry)
	}
	// What is left are files that cannot be understood at all: a log-in page of a proxy, or tampering.
	return wrap(uerr.Integrity, hintTamper)
}
