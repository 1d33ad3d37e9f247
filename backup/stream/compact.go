package stream

import (
	"bytes"
	"context"
	"errors"

	"practicectl/backup/repo"
	"practicectl/backup/wal"
	"practicectl/internal/objstore"
)

// compactUnits stores units that were completed in pieces once more, in one object: a restore then needs few requests. It
// runs beside the shipper, so that new log does not wait for it. A unit that it cannot do stays in pieces.
func (s *streamer) compactUnits(ctx context.Context) {
	mark := wal.NewMarker(*s.repo.Keys.Index)
	for {
		select {
		case <-ctx.Done():
			return
		case u := <-s.compact:
			if err := s.compactUnit(ctx, u, mark); err != nil && ctx.Err() == nil {
				s.warn("the log from %s stays in pieces: %v", u.Start, err)
			}
			s.mu.Lock()
			s.joining--
			s.mu.Unlock()
		}
	}
}

// compactUnit stores the whole unit, reads it back, and only then removes the pieces, where nothing locks them. What begins with
// the unit stays: a snapshot may refer to it, and to nothing else. When the owner changes the keys meanwhile, the pieces stay as
// they are: a rotation handed these on, and not what is sealed to the recipients of before.
func (s *streamer) compactUnit(ctx context.Context, u *unit, mark *wal.Marker) error {
	const op = "store the log in one piece in"
	found, err := wal.LookWithin(ctx, s.store, u.Stretch)
	if err != nil || len(found) < 2 || found[0].Stretch == u.Stretch {
		return err
	}
	if err := s.repo.CheckCurrent(ctx); err != nil {
		return err
	}
	key := u.Key(mark.Mark(u.data))
	packed, err := wal.Pack(u.data, s.repo.Recipients)
	if err != nil {
		return err
	}
	if err := repo.Create(ctx, s.store, key, packed); err != nil {
		if errors.Is(err, objstore.ErrExists) {
			return nil // a snapshot was faster
		}
		return repo.StoreError(op, s.store, key, err)
	}
	if err := s.withdrawn(ctx, key); err != nil {
		return err
	}
	back, err := repo.ReadSized(ctx, s.store, key, int64(len(packed)), repo.MaxPack)
	if err != nil {
		return repo.StoreError(op, s.store, key, err)
	}
	if !bytes.Equal(back, packed) {
		return repo.Tampered(op, s.store, key, errors.New("the store gives back other bytes than it took"))
	}
	if s.repo.Keys.Pin.ObjectLock {
		return nil // the pieces expire
	}
	for _, f := range found {
		if f.Start == u.Start || mark.Mark(u.bytes(f.Start, f.End)) != f.Mark {
			continue
		}
		if err := s.store.Delete(ctx, f.Key); err != nil {
			return repo.StoreError(op, s.store, f.Key, err)
		}
	}
	return nil
}

// withdrawn takes an object back that was stored while the owner changed the keys, also when the run ends just because of that.
func (s *streamer) withdrawn(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	err := s.repo.CheckCurrent(ctx)
	if errors.Is(err, repo.ErrNewSettings) {
		err = errors.Join(err, s.store.Delete(ctx, key))
	}
	return err
}
