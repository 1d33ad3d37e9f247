package objstore

import (
	"context"
	"errors"
	"io"
)

// CheckFirst returns st for services that do not honour conditions on a Put: it looks before it writes. Two writers at the same
// moment may then both believe that they created an object, so it is weaker than a condition, and better than none.
func CheckFirst(st Store) Store { return checking{st} }

type checking struct{ Store }

// Put checks the conditions of o itself.
func (c checking) Put(ctx context.Context, key string, r io.Reader, size int64, o PutOptions) (Info, error) {
	if o.IfAbsent || o.IfMatch != "" {
		now, err := c.Stat(ctx, key)
		switch {
		case err != nil && !errors.Is(err, ErrNotFound):
			return Info{}, err
		case o.IfAbsent && err == nil:
			return Info{}, Wrap("write", c, key, ErrExists)
		case o.IfMatch != "" && (err != nil || now.ETag != o.IfMatch):
			return Info{}, Wrap("write", c, key, ErrChanged)
		}
		o.IfAbsent, o.IfMatch = false, ""
	}
	return c.Store.Put(ctx, key, r, size, o)
}
