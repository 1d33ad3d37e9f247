package wal

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/pgcluster"
	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// Read fetches and opens one object. Error kinds: Integrity naming the object, Auth, Unreachable.
func Read(ctx context.Context, r *repo.Repo, o repo.WALObject) ([]byte, error) {
	data, err := Fetch(ctx, r, o)
	if err != nil {
		return nil, err
	}
	return unpack(r, o.Key, data)
}

// ReadFound fetches and opens a stretch that was found by its name, whose mark proves it. Error kinds: Integrity naming the
// object, NotFound (a stream has stored it in one piece with others meanwhile), Auth, Unreachable.
func ReadFound(ctx context.Context, r *repo.Repo, f Found) ([]byte, error) {
	plain, err := readMarked(ctx, r, f.Key, f.Mark)
	if err == nil && pgcluster.LSN(len(plain)) != f.End-f.Start {
		err = repo.Tampered("read the log in", r.Store, f.Key, errors.New("it is not as long as its name says"))
	}
	return plain, err
}

// ReadHistory fetches and opens the history file of a timeline.
func ReadHistory(ctx context.Context, r *repo.Repo, b FoundBranch) ([]byte, error) {
	return readMarked(ctx, r, b.Key, b.Mark)
}

func readMarked(ctx context.Context, r *repo.Repo, key string, mark Mark) ([]byte, error) {
	const op = "read the log in"
	data, err := repo.ReadObject(ctx, r.Store, key, repo.MaxPack)
	switch {
	case errors.Is(err, objstore.ErrNotFound):
		return nil, uerr.New(uerr.NotFound, op, r.Store.String()+" "+key, err, "run the same command again")
	case err != nil:
		return nil, repo.StoreError(op, r.Store, key, err)
	}
	plain, err := unpack(r, key, data)
	if err != nil {
		return nil, err
	}
	k, err := r.IndexKeyOf(mark.Epoch)
	if err != nil {
		return nil, err
	}
	if NewMarker(k).Mark(plain) != mark {
		return nil, repo.Tampered(op, r.Store, key, errors.New("it is not what its name says: nobody with the host's keys wrote it"))
	}
	return plain, nil
}

// unpack opens an object.
func unpack(r *repo.Repo, key string, data []byte) ([]byte, error) {
	const op = "read the log in"
	packed, err := sealed.OpenBytes(data, r.IdentitiesFor(key)...)
	if err != nil {
		return nil, repo.Tampered(op, r.Store, key, err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*Unit))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	plain, err := dec.DecodeAll(packed, nil)
	if err != nil {
		return nil, repo.Tampered(op, r.Store, key, err)
	}
	return plain, nil
}

// Fetch reads an object and compares it with what the signed header says; that needs no key.
func Fetch(ctx context.Context, r *repo.Repo, o repo.WALObject) ([]byte, error) {
	return r.ReadProved(ctx, "read the log in", o.Key, o.Size, repo.MaxPack, repo.Sum(o.SHA256))
}

// Segments lays log into files of segmentSize bytes in dir, so that PostgreSQL finds it in pg_wal. Bytes that are not
// there stay zero, which ends the log.
type Segments struct {
	Dir      string
	Timeline uint32
	Size     uint32 // bytes of a segment
	Mode     os.FileMode
	Owner    func(path string) error
}

// Write lays data, whose first byte is at position at. It must not cross a segment. The caller makes the files durable.
func (s Segments) Write(at pgcluster.LSN, data []byte) error {
	off := int64(at) % int64(s.Size)
	if off+int64(len(data)) > int64(s.Size) {
		return uerr.New(uerr.Integrity, "lay out the log", at.String(), errors.New("a piece crosses the end of its segment"), "")
	}
	path := filepath.Join(s.Dir, pgcluster.WALName(s.Timeline, at, s.Size))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, s.Mode)
	if err != nil {
		return err
	}
	err = f.Truncate(int64(s.Size))
	if err == nil {
		_, err = f.WriteAt(data, off)
	}
	if err = errors.Join(err, f.Close()); err == nil && s.Owner != nil {
		err = s.Owner(path)
	}
	return err
}
