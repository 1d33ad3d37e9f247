package heal

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"practicectl/backup/repo"
	"practicectl/backup/retain"
	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

// maxObject bounds what is read into memory at once; snapshots are the largest objects.
const maxObject = 300 << 20

// object is one object that both stores should have.
type object struct {
	key   string
	kind  Kind
	size  int64                   // bytes; 0: not known
	prove func(data []byte) error // nil: its bytes prove nothing, both sides must be the same
	tell  func(data []byte) bool  // without prove: whether the bytes look right, where both sides differ; nil: nobody knows
}

// lockers are the keepers that lock what is put on each side; nil: the side does not lock.
type lockers [2]*retain.Keeper

// mend makes both sides have o, as far as one of them has it whole.
func (j *job) mend(ctx context.Context, o object, l lockers) error {
	j.mu.Lock()
	done := j.done[o.key]
	j.done[o.key] = true
	j.mu.Unlock()
	if done {
		return nil
	}
	if o.prove == nil {
		return j.mendLikeness(ctx, o, l)
	}
	var good []byte
	var wrong [2]bool
	for i := range j.sides {
		data, err := j.look(ctx, i, o)
		switch {
		case err == nil && data != nil:
			good = data
		case err != nil && uerr.KindOf(err) != uerr.Integrity:
			return err
		case err != nil:
			wrong[i] = true
		}
	}
	if !wrong[1] && (!wrong[0] || !j.both) {
		return nil
	}
	if good == nil {
		var err error
		if good, err = j.fetchWhole(ctx, o); err != nil {
			return j.problem(o.key, err)
		}
	}
	for i := range j.sides {
		if wrong[i] && (i == 1 || j.both) {
			if err := j.put(ctx, i, o, good, l[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// look tells whether a side has o whole, going by its name and size, or by reading it. What was read comes back. The error is of
// kind Integrity when it has not.
func (j *job) look(ctx context.Context, side int, o object) ([]byte, error) {
	info, ok := j.has[side][o.key]
	st := j.sides[side].Store
	if !ok {
		j.counted(side, o.kind, func(c *Count) { c.Missing++ })
		return nil, repo.Tampered("compare", st, o.key, errors.New("it is missing"))
	}
	if o.size > 0 && info.Size != o.size {
		j.counted(side, o.kind, func(c *Count) { c.Damaged++ })
		return nil, repo.Tampered("compare", st, o.key, fmt.Errorf("it has %d bytes and should have %d", info.Size, o.size))
	}
	var data []byte
	if j.o.Read {
		var err error
		if data, err = fetch(ctx, st, o, info.Size); err != nil {
			if uerr.KindOf(err) == uerr.Integrity {
				j.counted(side, o.kind, func(c *Count) { c.Damaged++ })
			}
			return nil, err
		}
	}
	j.counted(side, o.kind, func(c *Count) { c.Checked++ })
	return data, nil
}

// fetchWhole reads o from a side that has it whole, if only below what was put on top of it in a store that keeps versions.
func (j *job) fetchWhole(ctx context.Context, o object) ([]byte, error) {
	var first error
	for _, side := range j.sides {
		data, err := repo.ReadGenuine(ctx, side.Store, "read", o.key, maxObject, o.prove)
		if err == nil {
			return data, nil
		}
		first = cmp.Or(first, err)
	}
	return nil, first
}

func fetch(ctx context.Context, st objstore.Store, o object, size int64) ([]byte, error) {
	data, err := repo.ReadSized(ctx, st, o.key, size, maxObject)
	if err != nil {
		return nil, repo.StoreError("read", st, o.key, err)
	}
	if o.prove == nil {
		return data, nil
	}
	if err := o.prove(data); err != nil {
		return nil, repo.Tampered("read", st, o.key, err)
	}
	return data, nil
}

// put stores proved bytes. What takes the place of something damaged is read back: the disk below may be the reason. In a store
// that keeps versions it becomes the newest one.
func (j *job) put(ctx context.Context, side int, o object, data []byte, keeper *retain.Keeper) error {
	const op = "store"
	st := j.sides[side].Store
	var to interface {
		Put(ctx context.Context, key string, r io.Reader, size int64, o objstore.PutOptions) (objstore.Info, error)
	} = st
	if keeper != nil {
		to = keeper
	}
	_, replaces := j.has[side][o.key]
	if j.o.Plan {
		j.counted(side, o.kind, func(c *Count) { c.Stored++; c.Bytes += int64(len(data)) })
		return nil
	}
	_, err := to.Put(ctx, o.key, bytes.NewReader(data), int64(len(data)), objstore.PutOptions{IfAbsent: !replaces})
	if errors.Is(err, objstore.ErrExists) { // hidden by a delete marker, or not listed yet
		_, err = to.Put(ctx, o.key, bytes.NewReader(data), int64(len(data)), objstore.PutOptions{})
		replaces = true
	}
	if err != nil {
		return repo.StoreError(op, st, o.key, err)
	}
	if replaces {
		back, err := fetch(ctx, st, o, int64(len(data)))
		if err != nil || !bytes.Equal(back, data) {
			return j.problem(o.key, errors.Join(err, repo.Tampered(op, st, o.key, errors.New("the store gives back other bytes than it took"))))
		}
	}
	j.counted(side, o.kind, func(c *Count) { c.Stored++; c.Bytes += int64(len(data)) })
	return nil
}

// mendLikeness is mend for an object whose bytes prove nothing without a key: one that is missing is copied. Two that differ are a
// problem that a person has to look at, unless one of them is plainly none of ours.
func (j *job) mendLikeness(ctx context.Context, o object, l lockers) error {
	there := [2]bool{}
	for i := range j.sides {
		_, there[i] = j.has[i][o.key]
		j.counted(i, o.kind, func(c *Count) {
			if there[i] {
				c.Checked++
			} else {
				c.Missing++
			}
		})
	}
	switch {
	case there[0] && there[1]:
		return j.alike(ctx, o, l)
	case there[1] && !j.both:
		return nil
	}
	from := 0
	if there[1] {
		from = 1
	}
	data, err := fetch(ctx, j.sides[from].Store, o, j.has[from][o.key].Size)
	if err != nil {
		return j.problem(o.key, err)
	}
	return j.put(ctx, 1-from, o, data, l[1-from])
}

// alike compares what both sides have under one name, and puts the one that looks right over the one that does not.
func (j *job) alike(ctx context.Context, o object, l lockers) error {
	if !j.o.Read && j.has[0][o.key].Size == j.has[1][o.key].Size {
		return nil
	}
	var data [2][]byte
	var right [2]bool
	for i, side := range j.sides {
		var err error
		if data[i], err = fetch(ctx, side.Store, o, j.has[i][o.key].Size); err != nil {
			return j.problem(o.key, err)
		}
		right[i] = o.tell != nil && o.tell(data[i])
	}
	switch {
	case bytes.Equal(data[0], data[1]):
		return nil
	case right[0] && !right[1]:
		return j.replace(ctx, 1, o, data[0], l)
	case right[1] && !right[0] && j.both:
		return j.replace(ctx, 0, o, data[1], l)
	}
	return j.problem(o.key, repo.Tampered("compare", j.sides[1].Store, o.key, fmt.Errorf("it differs from that in %s, and nothing tells which of them is right", j.sides[0].Store)))
}

func (j *job) replace(ctx context.Context, side int, o object, data []byte, l lockers) error {
	j.counted(side, o.kind, func(c *Count) { c.Checked--; c.Damaged++ })
	return j.put(ctx, side, o, data, l[side])
}
