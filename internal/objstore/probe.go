package objstore

import (
	"context"
	"errors"
	"strings"
)

// ProbeConditions finds out by trying whether st honours IfAbsent and IfMatch, under the scratch key, which it
// deletes. A store is believed only if the second conditional create fails with ErrExists: some answer success and
// overwrite, some answer an unrelated status.
func ProbeConditions(ctx context.Context, st Store, scratch string) (c Capabilities, err error) {
	put := func(text string, o PutOptions) (Info, error) {
		return st.Put(ctx, scratch, strings.NewReader(text), int64(len(text)), o)
	}
	defer func() { err = errors.Join(err, st.Delete(context.WithoutCancel(ctx), scratch)) }()
	if _, err = put("1", PutOptions{IfAbsent: true}); err != nil {
		if !errors.Is(err, ErrUnsupported) {
			return c, err
		}
		err = nil
	} else {
		_, err2 := put("2", PutOptions{IfAbsent: true})
		c.IfAbsent = errors.Is(err2, ErrExists)
		if err2 != nil && !c.IfAbsent && !errors.Is(err2, ErrUnsupported) {
			return c, err2
		}
	}
	old, err := put("3", PutOptions{})
	if err != nil {
		return c, err
	}
	if _, err = put("4444", PutOptions{}); err != nil {
		return c, err
	}
	_, stale := put("5", PutOptions{IfMatch: old.ETag})
	c.IfMatch = errors.Is(stale, ErrChanged)
	if stale != nil && !c.IfMatch && !errors.Is(stale, ErrUnsupported) {
		return c, stale
	}
	return c, nil
}
