package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"practicectl/backup/collect"
	"practicectl/backup/pagemap"
	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

func (j *job) verifyPacks(ctx context.Context) error {
	if err := j.writer.VerifyStored(ctx); err != nil {
		return err
	}
	j.crash("packs verified")
	return nil
}

// checkSettings keeps packs that an older generation sealed out of the index: a rotation that ended meanwhile did not see them,
// so that its new identities could not open what a later snapshot takes from them.
func (j *job) checkSettings(ctx context.Context) error { return j.repo.CheckCurrent(ctx) }

func (j *job) writeIndex(ctx context.Context) error {
	n, err := j.writer.WriteIndex(ctx)
	j.extra += n
	if err != nil {
		return err
	}
	j.crash("index stored")
	return nil
}

func (j *job) writeLists(ctx context.Context) error {
	inline, lists, order := repo.SplitPacks(j.used)
	j.header.Packs, j.header.PackLists = inline, order
	stored := map[string]bool{}
	if len(lists) > 0 {
		for info, err := range j.repo.Store.List(ctx, repo.PackListPrefix) {
			if err != nil {
				return repo.StoreError("look for the lists of packs in", j.repo.Store, "", err)
			}
			stored[info.Key] = true
		}
	}
	for name, data := range lists {
		key := repo.PackListPrefix + name
		if stored[key] {
			j.stored = append(j.stored, key)
			continue
		}
		switch err := repo.Create(ctx, j.repo.Store, key, data); {
		case errors.Is(err, objstore.ErrExists):
			j.stored = append(j.stored, key)
		case err != nil:
			return repo.StoreError("store the list of packs in", j.repo.Store, key, err)
		default:
			j.extra += int64(len(data))
		}
	}
	j.crash("lists stored")
	return nil
}

func (j *job) uploaded() int64 {
	n := j.extra + j.writer.Added()
	if j.log != nil {
		n += j.log.Added()
	}
	return n
}

func (j *job) commit(ctx context.Context) error {
	// A run that goes on for longer could refer to what garbage collection removes: see collect.
	if took := j.o.Now().Sub(j.began); took > collect.LongestRun {
		return uerr.New(uerr.Precond, "commit the snapshot to", j.repo.Store.String(), fmt.Errorf("the run has taken %d hours, and %d are the most", int(took.Hours()), int(collect.LongestRun.Hours())), "run the same command again: what is stored already is used")
	}
	body, err := repo.SealBody(j.body, j.repo.Recipients)
	if err != nil {
		return err
	}
	j.header.Added = j.uploaded()
	j.header.Committed = j.o.Now().UTC().Truncate(time.Second)
	j.snapshot, err = repo.EncodeSnapshot(j.header, body, j.repo.Keys.Signing)
	if err != nil {
		return err
	}
	if err := repo.Create(ctx, j.repo.Store, j.key, j.snapshot); err != nil {
		return repo.StoreError("commit the snapshot to", j.repo.Store, j.key, err)
	}
	j.extra += int64(len(j.snapshot))
	j.crash("committed")
	return nil
}

// readBack proves that the store gives back what it took; then nothing has to be remembered about packs on their way.
func (j *job) readBack(ctx context.Context) error {
	const op = "read back the snapshot"
	data, err := repo.ReadObject(ctx, j.repo.Store, j.key, int64(len(j.snapshot)))
	if err != nil {
		return repo.StoreError(op, j.repo.Store, j.key, err)
	}
	if !bytes.Equal(data, j.snapshot) {
		return repo.Tampered(op, j.repo.Store, j.key, errors.New("the store gives back other bytes than it took"))
	}
	j.header, _, err = repo.ParseSnapshot(j.key, data, j.repo.Settings)
	if err != nil {
		return repo.Tampered(op, j.repo.Store, j.key, err)
	}
	if err := pagemap.Sweep(j.o.Cache, j.header.ID); err != nil {
		return repo.CacheError(j.o.Cache, err)
	}
	return j.writer.Committed()
}
