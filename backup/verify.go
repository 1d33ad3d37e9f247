package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"practicectl/backup/repo"
	"practicectl/backup/restore"
	"practicectl/backup/wal"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// VerifyOptions says how deep a repository is verified.
type VerifyOptions struct {
	Snapshot   string // only this one ("latest" or the beginning of an id); empty: all
	References bool   // only that what snapshots refer to is there, without reading it
}

// VerifyReport is what a verification found.
type VerifyReport struct {
	Snapshots int      `json:"snapshots"`
	Packs     int      `json:"packs"`
	Log       int      `json:"log_objects"`
	Bytes     int64    `json:"bytes"`  // read
	Opened    bool     `json:"opened"` // with an identity: everything was decrypted and proved
	Problems  []string `json:"problems"`
	Shadowed  []string `json:"shadowed"` // whole, but somebody put another version or a delete marker over them
}

// Verify checks a repository without any key: signatures, that everything referred to is there, and that each object is
// what its name says. When the repository was opened with an identity it also decrypts everything and proves every page.
// It goes on after a problem, so that all are listed; the error is of kind Integrity then.
func Verify(ctx context.Context, r *Repo, o VerifyOptions, p progress.Reporter) (VerifyReport, error) {
	v := &verification{rep: VerifyReport{Problems: []string{}, Shadowed: []string{}}}
	mine := *r
	mine.Shadowed = v.shadowed
	r, v.repo = &mine, &mine
	for _, err := range r.Ignored {
		if err := v.problem(err); err != nil {
			return v.rep, err
		}
	}
	var snapshots []repo.Snapshot
	if o.Snapshot == "" {
		all, err := r.Snapshots(ctx)
		if err != nil {
			return v.rep, err
		}
		snapshots = all
	} else {
		s, err := r.Find(ctx, o.Snapshot)
		if err != nil {
			return v.rep, err
		}
		snapshots = []repo.Snapshot{s}
	}
	packs, log, err := v.references(ctx, snapshots)
	if err != nil {
		return v.rep, err
	}
	if !o.References {
		if err := v.content(ctx, packs, log, p); err != nil {
			return v.rep, err
		}
		if len(r.Keys.Identities) > 0 {
			if err := v.open(ctx, snapshots, p); err != nil {
				return v.rep, err
			}
		}
	}
	return v.rep, v.verdict()
}

type verification struct {
	repo *Repo
	mu   sync.Mutex
	rep  VerifyReport
}

// shadowed notes an object that is whole below what somebody put over it.
func (v *verification) shadowed(key string, why error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if text := key + ": " + why.Error(); !slices.Contains(v.rep.Shadowed, text) {
		v.rep.Shadowed = append(v.rep.Shadowed, text)
	}
}

// problem notes an integrity problem; any other error ends the verification.
func (v *verification) problem(err error) error {
	if uerr.KindOf(err) != uerr.Integrity {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if text := err.Error(); !slices.Contains(v.rep.Problems, text) {
		v.rep.Problems = append(v.rep.Problems, text)
	}
	return nil
}

func (v *verification) verdict() error {
	slices.Sort(v.rep.Problems)
	slices.Sort(v.rep.Shadowed)
	switch n := len(v.rep.Problems); n {
	case 0:
		return nil
	case 1:
		return uerr.New(uerr.Integrity, "verify", v.repo.Store.String(), errors.New(v.rep.Problems[0]), "snapshots that do not need this object are whole: practicectl backup list; the next backup run stores what is missing again")
	default:
		return uerr.New(uerr.Integrity, "verify", v.repo.Store.String(), fmt.Errorf("%d problems, the first: %s", n, v.rep.Problems[0]), "see all of them: practicectl backup verify --json")
	}
}

// references checks the snapshots' headers and that the store has what they refer to, with the right size.
func (v *verification) references(ctx context.Context, snapshots []repo.Snapshot) (map[repo.PackID]int64, map[string]repo.WALObject, error) {
	packs, log := map[repo.PackID]int64{}, map[string]repo.WALObject{}
	for _, s := range snapshots {
		if s.Err != nil {
			if err := v.problem(s.Err); err != nil {
				return nil, nil, err
			}
			continue
		}
		v.rep.Snapshots++
		list, err := v.repo.Packs(ctx, s.Header)
		if err != nil {
			if err := v.problem(err); err != nil {
				return nil, nil, err
			}
		}
		for _, p := range list {
			packs[p.ID] = p.Size
		}
		for _, o := range s.Header.WAL {
			log[o.Key] = o
		}
	}
	want := map[string]int64{}
	for id, size := range packs {
		want[id.Key()] = size
	}
	for key, o := range log {
		want[key] = o.Size
	}
	for _, prefix := range []string{repo.PackPrefix, repo.WALPrefix} {
		for info, err := range repo.ListAll(ctx, v.repo.Store, prefix) {
			if err != nil {
				return nil, nil, repo.StoreError("list", v.repo.Store, prefix, err)
			}
			if size, ok := want[info.Key]; ok && size == info.Size {
				delete(want, info.Key)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		err := repo.Tampered("verify", v.repo.Store, key, fmt.Errorf("it is missing, or has not the %d bytes that it should have", want[key]))
		if err := v.problem(err); err != nil {
			return nil, nil, err
		}
	}
	return packs, log, nil
}

// How objects are read to be compared with their checksums: so many at once, each through so many bytes of memory.
const (
	scrubs      = 8
	scrubBuffer = 256 << 10
)

// content reads every object and compares it with its checksum.
func (v *verification) content(ctx context.Context, packs map[repo.PackID]int64, log map[string]repo.WALObject, p progress.Reporter) error {
	var total int64
	for _, size := range packs {
		total += size
	}
	for _, o := range log {
		total += o.Size
	}
	task := p.Task("verify", progress.Bytes, total)
	defer task.Done()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(scrubs)
	bufs := make(chan []byte, scrubs)
	for range scrubs {
		bufs <- make([]byte, scrubBuffer)
	}
	check := func(read func(buf []byte) (int64, error), count *int) {
		g.Go(func() error {
			buf := <-bufs
			defer func() { bufs <- buf }()
			n, err := read(buf)
			if err != nil {
				return v.problem(err)
			}
			task.Add(n)
			v.mu.Lock()
			defer v.mu.Unlock()
			*count++
			v.rep.Bytes += n
			return nil
		})
	}
	for id, size := range packs {
		check(func(buf []byte) (int64, error) {
			return restore.CheckPack(ctx, v.repo, repo.StoredPack{ID: id, Size: size}, buf)
		}, &v.rep.Packs)
	}
	for _, o := range log {
		check(func([]byte) (int64, error) {
			data, err := wal.Fetch(ctx, v.repo, o)
			return int64(len(data)), err
		}, &v.rep.Log)
	}
	return g.Wait()
}

// open restores every snapshot to nowhere.
func (v *verification) open(ctx context.Context, snapshots []repo.Snapshot, p progress.Reporter) error {
	for _, s := range snapshots {
		if s.Err != nil {
			continue
		}
		plan, err := restore.NewPlan(ctx, v.repo, s, restore.Want{})
		if err == nil {
			task := p.Task("prove "+s.Header.ID[:8], progress.Bytes, plan.Bytes)
			err = plan.Check(ctx, task)
			task.Done()
		}
		if err != nil {
			if err := v.problem(err); err != nil {
				return err
			}
		}
	}
	v.rep.Opened = true
	return nil
}
