package wal

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"practicectl/backup/repo"
	"practicectl/internal/pgcluster"
	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// Read fetches and opens one object. Error kinds: Integrity naming the object, Auth, Unreachable.
func Read(ctx context.Context, r *repo.Repo, o repo.WALObject) ([]byte, error) {
	const op = "read the log in"
	data, err := Fetch(ctx, r, o)
	if err != nil {
		return nil, err
	}
	packed, err := sealed.OpenBytes(data, r.IdentitiesFor(o.Key)...)
	if err != nil {
		return nil, repo.Tampered(op, r.Store, o.Key, err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*Unit))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	plain, err := dec.DecodeAll(packed, nil)
	if err != nil {
		return nil, repo.Tampered(op, r.Store, o.Key, err)
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

// Write lays data, whose first byte is at position at. It must not cross a segment.
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
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil && s.Owner != nil {
		err = s.Owner(path)
	}
	return err
}
