package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"practicectl/internal/objstore"
)

// ReadProved reads the object key, of about size bytes (0: not known) and at most limit, and gives it out only when prove
// finds nothing wrong with it. In a store that keeps versions an object that was overwritten or hidden is found below what
// shadows it. What the store lacks or has damaged is read from one of the other stores of the repository. The
// error is that of the first store. Error kinds: Integrity naming the object, Auth, Unreachable.
func (r *Repo) ReadProved(ctx context.Context, op, key string, size, limit int64, prove func(data []byte) error) ([]byte, error) {
	data, _, err := r.readProved(ctx, op, key, size, limit, prove)
	return data, err
}

func (r *Repo) readProved(ctx context.Context, op, key string, size, limit int64, prove func(data []byte) error) (data []byte, shadowed, err error) {
	data, shadowed, first := readProved(ctx, r.Store, op, key, size, limit, prove)
	if shadowed != nil && r.Shadowed != nil {
		r.Shadowed(key, shadowed)
	}
	if first == nil {
		return data, shadowed, nil
	}
	for _, other := range r.Others {
		if ctx.Err() != nil {
			break
		}
		data, _, err := readProved(ctx, other, op, key, size, limit, prove)
		if err != nil {
			continue // what is wrong with the first store is what has to be told
		}
		if r.Instead != nil {
			r.Instead(key, other, first)
		}
		return data, nil, nil
	}
	return nil, nil, first
}

// readProved also finds what was overwritten or hidden in a store that keeps versions; shadowed is then what was wrong with the
// newest one.
func readProved(ctx context.Context, st objstore.Store, op, key string, size, limit int64, prove func(data []byte) error) (data []byte, shadowed, err error) {
	data, shadowed, err = proved(ctx, st, key, size, limit, prove)
	var bad notProved
	if errors.As(err, &bad) {
		return nil, nil, Tampered(op, st, key, bad.error)
	}
	return data, shadowed, StoreError(op, st, key, err)
}

// ReadGenuine is ReadProved of one store, for who has no open repository.
func ReadGenuine(ctx context.Context, st objstore.Store, op, key string, limit int64, prove func(data []byte) error) ([]byte, error) {
	data, _, err := readProved(ctx, st, op, key, 0, limit, prove)
	return data, err
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
