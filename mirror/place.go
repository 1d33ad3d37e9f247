package mirror

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"practicectl/internal/atomicfile"
	"practicectl/internal/diskspace"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/trust"
)

// fetch brings the missing targets into place. Their names carry their hash and no published metadata leads to them
// yet, so clients do not see a half-finished sync.
func (y *syncing) fetch(ctx context.Context, missing []release.Target) error {
	if len(missing) == 0 {
		return nil
	}
	task := y.o.Progress.Task("fetch", progress.Bytes, bytesOf(missing))
	defer task.Done()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for _, t := range missing {
		g.Go(func() error {
			tmp := filepath.Join(y.f.downloads(), strings.ReplaceAll(t.Path, "/", "_"))
			if err := y.c.Fetch(ctx, t, tmp, task); err != nil {
				return err
			}
			to := y.stored(t)
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return y.writeError(err)
			}
			return y.writeError(atomicfile.Rename(tmp, to))
		})
	}
	return g.Wait()
}

func (y *syncing) writeError(err error) error {
	switch {
	case err == nil:
		return nil
	case diskspace.IsFull(err):
		return uerr.New(uerr.NoSpace, "write the mirror in", string(y.f), err, "free some space on that disk and run practicectl mirror sync again")
	}
	return uerr.New(uerr.Precond, "write the mirror in", string(y.f), err, "check the folder and run practicectl mirror sync again")
}

// publish writes the metadata in the order in which it is safe to read it.
func (y *syncing) publish(cp *trust.Copy) error {
	for _, file := range cp.Files {
		path := filepath.Join(y.f.repo(), filepath.FromSlash(file.Name))
		if old, err := os.ReadFile(path); err == nil && string(old) == string(file.Data) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := atomicfile.WriteBytes(path, 0o644, file.Data); err != nil {
			return err
		}
	}
	return nil
}
