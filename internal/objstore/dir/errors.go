package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"practicectl/internal/objstore"
)

func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, objstore.ErrNotFound) || isNotDir(err)
}

// wrap turns an error of the system into one of the store's, and that into one for a person.
func (s *store) wrap(op, key string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	case isNoSpace(err):
		err = fmt.Errorf("%w: %w", objstore.ErrNoSpace, cause(err))
	case errors.Is(err, objstore.ErrNotFound), errors.Is(err, objstore.ErrKey), errors.Is(err, objstore.ErrExists):
	case missing(err):
		if _, gone := os.Stat(s.path); gone != nil {
			err = fmt.Errorf("%w: the folder is not there any more", objstore.ErrUnreachable)
		} else {
			err = objstore.ErrNotFound
		}
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w: %w", objstore.ErrAuth, cause(err))
	case isDiskGone(err):
		err = fmt.Errorf("%w: %w", objstore.ErrUnreachable, cause(err))
	}
	return objstore.Wrap(op, s, key, err)
}

// cause strips the path from an error of the os package; the subject names it already.
func cause(err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, &pe):
		return pe.Err
	case errors.As(err, &le):
		return le.Err
	}
	return err
}
