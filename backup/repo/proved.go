package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"practicectl/internal/objstore"
)

// ReadProved reads the object key, of about size bytes (0: not known) and at most limit, and gives it out only when prove
// finds nothing wrong with it. What the store lacks or has damaged is read from one of the other stores of the repository. The
// error is that of the first store. Error kinds: Integrity naming the object, Auth, Unreachable.
func (r *Repo) ReadProved(ctx context.Context, op, key string, size, limit int64, prove func(data []byte) error) ([]byte, error) {
	data, first := readProved(ctx, r.Store, op, key, size, limit, prove)
	if first == nil {
		return data, nil
	}
	for _, other := range r.Others {
		if ctx.Err() != nil {
			break
		}
		data, err := readProved(ctx, other, op, key, size, limit, prove)
		if err != nil {
			continue // what is wrong with the first store is what has to be told
		}
		if r.Instead != nil {
			r.Instead(key, other, first)
		}
		return data, nil
	}
	return nil, first
}

func readProved(ctx context.Context, st objstore.Store, op, key string, size, limit int64, prove func(data []byte) error) ([]byte, error) {
	data, err := ReadSized(ctx, st, key, size, limit)
	if err != nil {
		return nil, StoreError(op, st, key, err)
	}
	if err := prove(data); err != nil {
		return nil, Tampered(op, st, key, err)
	}
	return data, nil
}

// Sum proves an object by the SHA-256 of its bytes, in hexadecimal.
func Sum(want string) func(data []byte) error {
	return func(data []byte) error {
		sum := sha256.Sum256(data)
		if hex.EncodeToString(sum[:]) != want {
			return errors.New("its content is not what it should be: its SHA-256 is another one")
		}
		return nil
	}
}
