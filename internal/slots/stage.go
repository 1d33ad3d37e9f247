package slots

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
)

// Stage makes version available without making it live. fill writes the files into an empty folder of its own; when it
// returns nil, the whole tree is forced to disk and gets its final name. When fill fails nothing stays behind. A
// version that is already staged is left as it is and fill is not called.
//
// Error kinds: NoSpace when the disk is full; whatever kind fill's error has.
func (s Slots) Stage(ctx context.Context, version string, fill func(dir string) error) (err error) {
	if !versionName.MatchString(version) {
		return badVersion(version)
	}
	if s.Has(version) {
		return nil
	}
	tmp := s.Path(version) + unverified
	if err := errors.Join(os.RemoveAll(tmp), os.MkdirAll(s.Dir, 0o755)); err != nil {
		return failure("stage", s.Path(version), err)
	}
	// 0755 and not the umask's choice: services run as other users than the updater.
	if err := errors.Join(os.Mkdir(tmp, 0o755), os.Chmod(tmp, 0o755)); err != nil {
		return failure("stage", s.Path(version), err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	if err := fill(tmp); err != nil {
		var known *uerr.Error
		if errors.As(err, &known) && !isNoSpace(err) {
			return err
		}
		return failure("stage", s.Path(version), err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := syncTree(tmp); err != nil {
		return failure("write to disk", s.Path(version), err)
	}
	if err := atomicfile.Rename(tmp, s.Path(version)); err != nil {
		return failure("stage", s.Path(version), err)
	}
	return nil
}

// syncTree forces every file and directory under dir to disk: a rename must not become durable before its content.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			return atomicfile.SyncDir(path)
		case e.Type().IsRegular():
			return syncFile(path)
		}
		return nil
	})
}
