// Package lockfile is a kernel lock that cannot go stale: it dies with the process that holds it.
//
// The content of the file only says who holds it; the presence of the file means nothing.
package lockfile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"practicectl/internal/uerr"
)

// Holder says who holds a lock.
type Holder struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host"`
	What    string    `json:"what"` // the command, such as "backup run"
	Started time.Time `json:"started"`
}

// Lock is a held lock.
type Lock struct {
	f      *flock.Flock
	cancel context.CancelFunc
}

// Acquire takes the lock at path for the operation what, waiting up to wait (0: not at all). The returned context
// ends when the lock is released. Error kind: Locked, naming the holder.
func Acquire(ctx context.Context, path, what string, wait time.Duration) (context.Context, *Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, nil, uerr.New(uerr.Precond, "make the lock directory", filepath.Dir(path), err, "")
	}
	f := flock.New(path, flock.SetPermissions(0o640))
	deadline := time.Now().Add(wait)
	for {
		ok, err := f.TryLock()
		if err != nil {
			return nil, nil, uerr.New(uerr.Precond, "lock", path, err, "")
		}
		if ok {
			break
		}
		if !time.Now().Before(deadline) {
			return nil, nil, uerr.New(uerr.Locked, what+" refused:", "", describe(path), "wait until the other run ends, or give --lock-timeout 10m")
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	host, _ := os.Hostname()
	who, err := json.Marshal(Holder{PID: os.Getpid(), Host: host, What: what, Started: time.Now().UTC().Truncate(time.Second)})
	if err == nil {
		err = os.WriteFile(path, who, 0o640) // only information: a torn write is harmless
	}
	if err != nil {
		return nil, nil, errors.Join(uerr.New(uerr.Precond, "write the lock file", path, err, ""), f.Unlock())
	}
	held, cancel := context.WithCancel(ctx)
	return held, &Lock{f: f, cancel: cancel}, nil
}

// Release gives the lock up and ends its context.
func (l *Lock) Release() error {
	l.cancel()
	return l.f.Unlock()
}

func describe(path string) error {
	var h Holder
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &h)
	}
	if err != nil || h.PID == 0 {
		return errors.New("locked by another run")
	}
	return fmt.Errorf("locked by %q on %s (pid %d, running %s)", h.What, h.Host, h.PID, time.Since(h.Started).Round(time.Second))
}
