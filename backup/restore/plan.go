// Package restore lays a snapshot down beside its target, proves it, and only then puts it in place.
package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"practicectl/backup/repo"
	"practicectl/internal/diskspace"
	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// Plan is what a restore will do. It is made once, shown, and executed as it is.
type Plan struct {
	Key      string      `json:"key"`
	Snapshot repo.Header `json:"snapshot"`
	Target   string      `json:"target"`   // a folder that does not exist yet, or is empty
	Files    int64       `json:"files"`    // files, folders and links to lay down
	Bytes    int64       `json:"bytes"`    // to write
	Download int64       `json:"download"` // to read from the store
	Packs    int         `json:"packs"`    // to read from the store
	Free     int64       `json:"free"`     // bytes on the target's disk

	repo  *repo.Repo
	hash  *repo.Hasher
	body  repo.Body
	sizes map[repo.PackID]int64
	trees []tree
	jobs  map[repo.PackID]*packJob
}

// tree is one tree to lay down, below its own folder.
type tree struct {
	name  string
	files []*file
}

// file is an entry and what is known about its content while packs come in.
type file struct {
	repo.Entry
	path string // where it is laid, relative to the target
	ids  []byte // of its pages or chunks, filled in as they are written
}

// packJob is what is needed of one pack, by frame.
type packJob map[int64][]op

// op writes a stretch of a frame into a file.
type op struct {
	file   *file
	off, n int64 // in the frame, bytes
	at     int64 // in the file, bytes
	slot   int64 // of the first id
	kind   repo.FrameKind
}

// NewPlan opens the snapshot s and reads its trees. Error kinds: Auth (identity), Integrity naming the object, Unreachable.
func NewPlan(ctx context.Context, r *repo.Repo, s repo.Snapshot, target string) (*Plan, error) {
	p := &Plan{Key: s.Key, Snapshot: s.Header, Target: target, repo: r, sizes: map[repo.PackID]int64{}, jobs: map[repo.PackID]*packJob{}}
	var err error
	if p.body, err = r.Body(s); err != nil {
		return nil, err
	}
	key, err := r.IndexKeyOf(s.Header.Epoch)
	if err != nil {
		return nil, err
	}
	p.hash = key.Hasher()
	packs, err := r.Packs(ctx, s.Header)
	if err != nil {
		return nil, err
	}
	for _, k := range packs {
		p.sizes[k.ID] = k.Size
	}
	if err := p.readTrees(ctx); err != nil {
		return nil, err
	}
	for id := range p.jobs {
		p.Download += p.sizes[id]
	}
	p.Packs = len(p.jobs)
	for _, w := range s.Header.WAL {
		p.Download += w.Size
	}
	return p, nil
}

// CheckTarget refuses a target that holds something and a disk that is too small. Error kinds: LossGuard, NoSpace.
func (p *Plan) CheckTarget() error {
	const op = "restore into"
	if p.Target == "" {
		return uerr.New(uerr.Usage, op, "", errors.New("no folder was named"), "give --target DIR")
	}
	entries, err := os.ReadDir(p.Target)
	switch {
	case err == nil && len(entries) > 0:
		return uerr.New(uerr.LossGuard, op, p.Target, errors.New("there is something in it, and a restore never overwrites"), "name a new folder with --target, or move this one away")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return uerr.New(uerr.Precond, op, p.Target, err, "name a folder with --target")
	}
	parent := filepath.Dir(p.Target)
	for {
		if p.Free, err = diskspace.Free(parent); err == nil || !errors.Is(err, fs.ErrNotExist) || parent == filepath.Dir(parent) {
			break
		}
		parent = filepath.Dir(parent)
	}
	if err != nil {
		return uerr.New(uerr.Precond, op, p.Target, err, "name a folder with --target")
	}
	if need := p.need(); p.Free < need {
		return uerr.New(uerr.NoSpace, op, p.Target, fmt.Errorf("it needs %d MiB and the disk has %d MiB free", need>>20, p.Free>>20), "free some space, or name a folder on another disk with --target")
	}
	return nil
}

// need is the room for all files, the log and what recovery writes at once.
func (p *Plan) need() int64 {
	n := p.Bytes + 64<<20
	if db := p.body.Database; db != nil {
		n += int64(len(db.WAL)+2) * db.SegmentSize
	}
	return n
}

// pack fetches and opens one pack. Error kinds: Integrity naming the pack, Auth, Unreachable.
func (p *Plan) pack(ctx context.Context, id repo.PackID) ([]byte, error) {
	data, err := FetchPack(ctx, p.repo, repo.StoredPack{ID: id, Size: p.sizes[id]})
	if err != nil {
		return nil, err
	}
	r, err := sealed.Open(bytes.NewReader(data), p.repo.IdentitiesFor(id.Key())...)
	if err == nil {
		var plain bytes.Buffer
		plain.Grow(len(data) + bytes.MinRead)
		if _, err = plain.ReadFrom(r); err == nil {
			return plain.Bytes(), nil
		}
	}
	return nil, repo.Tampered("open the pack", p.repo.Store, id.Key(), err)
}

// FetchPack reads a pack and compares it with its name, which is its checksum; that needs no key.
func FetchPack(ctx context.Context, r *repo.Repo, want repo.StoredPack) ([]byte, error) {
	return r.ReadProved(ctx, "read the pack", want.ID.Key(), want.Size, repo.MaxPack, repo.Sum(want.ID.String()))
}
