package demo

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"practicectl/internal/lockfile"
	"practicectl/internal/uerr"
)

// Down stops everything that a demo left running and removes its folder. A folder without the demo's mark is refused.
// Error kinds: NotFound, Locked while the demo is still being told.
func Down(ctx context.Context, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	s, err := loadState(dir)
	if err != nil {
		return err
	}
	_, lock, err := lockfile.Acquire(ctx, lockPath(dir), "demo down", 0)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }() // it dies with the process anyhow
	if err := s.stop(dir); err != nil {
		return uerr.New(uerr.Failed, "stop the demo in", dir, err, "stop the processes it names, then: practicectl demo down")
	}
	var errs []error
	for _, d := range append(s.RunDirs, dir, lockPath(dir)) {
		errs = append(errs, os.RemoveAll(d))
	}
	if err := errors.Join(errs...); err != nil {
		return uerr.New(uerr.Failed, "remove the demo in", dir, err, "run it as the user that started the demo")
	}
	return nil
}
