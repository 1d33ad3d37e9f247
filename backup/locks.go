package backup

import (
	"context"

	"practicectl/backup/repo"
	"practicectl/backup/retain"
)

// lockFor puts a keeper before the store, when the store was found to lock objects: all that the run stores is locked.
func (j *job) lockFor(parent repo.Header) {
	if !j.repo.Keys.Pin.ObjectLock {
		return
	}
	last := parent.Created
	if parent.LockedUntil.IsZero() {
		last = parent.LockedUntil // a snapshot without a lock is not the month's
	}
	class := retain.ClassOf(last, j.header.Created)
	j.keeper = retain.Open(j.repo.Store, j.repo.Root.ID, class, j.o.Now(), j.o.Cache)
	locked := *j.repo
	locked.Store = j.keeper
	j.repo = &locked
	j.header.Class, j.header.LockedUntil = string(class), j.keeper.Until()
}

// lockPacks extends the locks of what the snapshot refers to and earlier runs stored, and notes the versions of the packs.
func (j *job) lockPacks(ctx context.Context) error {
	if j.keeper == nil {
		return nil
	}
	keys := j.repo.Foundation()
	for _, o := range j.header.WAL {
		keys = append(keys, o.Key)
	}
	for _, p := range j.used {
		keys = append(keys, p.ID.Key())
	}
	if err := j.keeper.Extend(ctx, keys); err != nil {
		return err
	}
	for i := range j.used {
		j.used[i].Version = j.keeper.Version(j.used[i].ID.Key())
	}
	return nil
}

// lockLists does the same for lists of packs, then asks the store whether it keeps its word, while nothing is committed.
func (j *job) lockLists(ctx context.Context) error {
	if j.keeper == nil {
		return nil
	}
	if err := j.keeper.Extend(ctx, j.stored); err != nil {
		return err
	}
	if err := j.keeper.Check(ctx, repo.RootKey); err != nil {
		return err
	}
	return j.keeper.Save()
}

// checkLock tells whether the committed snapshot is locked.
func (j *job) checkLock(ctx context.Context) error {
	if j.keeper == nil {
		return nil
	}
	return j.keeper.Committed(ctx, j.key)
}
