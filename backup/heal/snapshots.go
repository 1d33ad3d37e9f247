package heal

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"practicectl/backup/repo"
	"practicectl/backup/retain"
	"practicectl/internal/objstore"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// requests is the number of objects compared at once. Each may be a pack in memory.
const requests = 4

// settings makes both stores begin with the same root and settings, which say whose repository it is. The keyring comes before the
// settings that name it, as in a rotation.
func (j *job) settings(ctx context.Context) error {
	const op = "copy the repository to"
	for _, key := range j.repo.Foundation() {
		if strings.HasPrefix(key, repo.KeyringPrefix) {
			if err := j.keyring(ctx, key); err != nil {
				return err
			}
			continue
		}
		want, err := repo.ReadObject(ctx, j.repo.Store, key, maxObject) // what Open has proved
		if err != nil {
			return repo.StoreError("read", j.repo.Store, key, err)
		}
		for _, side := range j.sides {
			have, err := repo.ReadObject(ctx, side.Store, key, maxObject)
			if errors.Is(err, objstore.ErrNotFound) {
				continue
			}
			if err != nil {
				return repo.StoreError("read", side.Store, key, err)
			}
			if root, err := repo.ParseRoot(have); key == repo.RootKey && err == nil && root.ID != j.repo.Root.ID {
				return uerr.New(uerr.LossGuard, op, side.Store.String(), errors.New("there is another repository"), "name another folder or prefix in [[backup.copy]]")
			}
		}
		o := object{key: key, kind: Settings, size: int64(len(want)), prove: func(data []byte) error {
			if bytes.Equal(data, want) {
				return nil
			}
			return errors.New("it is not what the owner of the repository signed")
		}}
		if err := j.mendLocked(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// keyring copies a segment of the keyring, whose name is its checksum.
func (j *job) keyring(ctx context.Context, key string) error {
	return j.mendLocked(ctx, object{key: key, kind: Settings, prove: func(data []byte) error {
		if repo.KeyringPrefix+repo.DocumentSum(data) == key {
			return nil
		}
		return errors.New("its content is not what its name says")
	}})
}

// mendLocked mends an object that is locked for as long as any snapshot.
func (j *job) mendLocked(ctx context.Context, o object) error {
	l, err := j.lockers(j.o.Now(), retain.Monthly)
	if err != nil {
		return err
	}
	if err := j.mend(ctx, o, l); err != nil {
		return err
	}
	return l.save()
}

// snapshot is one that at least one side has whole.
type snapshot struct {
	key    string
	header repo.Header
	size   int64 // bytes of the object
	class  retain.Class
}

// snapshots reads the snapshots that have to be looked at, the newest first: all of them, or for a copy those that the second side
// lacks.
func (j *job) snapshots(ctx context.Context) ([]snapshot, error) {
	var out []snapshot
	before := map[string]time.Time{} // by host, the snapshot before
	for _, key := range j.snapshotKeys() {
		host, created, _, err := repo.ParseSnapshotKey(key)
		if err != nil {
			continue // nothing of ours
		}
		class := retain.ClassOf(before[host], created)
		before[host] = created
		first, ok := j.has[0][key]
		second, both := j.has[1][key]
		if !j.o.Read && !j.both && (!ok || both && first.Size == second.Size) {
			continue
		}
		h, size, err := j.header(ctx, key)
		if err != nil {
			if err := j.problem(key, err); err != nil {
				return nil, err
			}
			continue
		}
		if h.Class != "" {
			class = retain.Class(h.Class)
		}
		out = append(out, snapshot{key, h, size, class})
	}
	slices.Reverse(out)
	return j.wanted(out), nil
}

// wanted leaves out what one side lacks because it was pruned.
func (j *job) wanted(all []snapshot) []snapshot {
	if j.o.Expired == nil {
		return all
	}
	headers := make([]repo.Header, len(all))
	for i, s := range all {
		headers[i] = s.header
	}
	expired := j.o.Expired(headers)
	return slices.DeleteFunc(all, func(s snapshot) bool {
		_, a := j.has[0][s.key]
		_, b := j.has[1][s.key]
		return a != b && expired[s.header.ID]
	})
}

// snapshotKeys are the names on both sides, by time.
func (j *job) snapshotKeys() []string {
	var keys []string
	for i := range j.sides {
		for key := range j.has[i] {
			if _, known := j.has[0][key]; strings.HasPrefix(key, repo.SnapshotPrefix) && (i == 0 || !known) {
				keys = append(keys, key)
			}
		}
	}
	name := func(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(cmp.Compare(name(a), name(b)), cmp.Compare(a, b)) })
	return keys
}

// header is that of a side which has the snapshot whole, with the size of the object.
func (j *job) header(ctx context.Context, key string) (h repo.Header, size int64, first error) {
	for i, side := range j.sides {
		info, ok := j.has[i][key]
		if !ok {
			continue
		}
		_, err := fetch(ctx, side.Store, object{key: key, prove: func(data []byte) (err error) {
			h, _, err = repo.ParseSnapshot(key, data, j.repo.Settings)
			return err
		}}, info.Size)
		if err == nil {
			return h, info.Size, nil
		}
		if uerr.KindOf(err) != uerr.Integrity {
			return h, 0, err
		}
		first = cmp.Or(first, err)
	}
	return h, 0, first
}

// mendSnapshots brings what each snapshot needs to both sides, then the snapshot itself. The newest one comes first: it is the one
// that is missed most when the line breaks.
func (j *job) mendSnapshots(ctx context.Context, all []snapshot) error {
	task := j.p.Task("compare", progress.Items, int64(len(all)))
	defer task.Done()
	for _, s := range all {
		if err := j.mendSnapshot(ctx, s); err != nil {
			return err
		}
		task.Add(1)
	}
	return nil
}

func (j *job) mendSnapshot(ctx context.Context, s snapshot) error {
	l, err := j.lockers(s.header.Created, s.class)
	if err != nil {
		return err
	}
	for _, name := range s.header.PackLists {
		if err := j.mend(ctx, object{key: repo.PackListPrefix + name, kind: PackList, prove: repo.Sum(name)}, l); err != nil {
			return err
		}
	}
	need, err := j.needs(ctx, s.header)
	if err != nil {
		return j.problem(s.key, err)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for _, o := range need {
		g.Go(func() error { return j.mend(gctx, o, l) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if missing := j.lostOf(s.header, need); missing != "" {
		return j.problem(s.key, repo.Tampered("complete the snapshot in", j.sides[1].Store, s.key, fmt.Errorf("it needs %s, which neither store has whole", missing)))
	}
	if err := j.keep(ctx, l, s.header, need); err != nil {
		return err
	}
	err = j.mend(ctx, object{key: s.key, kind: Snapshot, size: s.size, prove: func(data []byte) error {
		_, _, err := repo.ParseSnapshot(s.key, data, j.repo.Settings)
		return err
	}}, l)
	if err == nil && !j.lost[s.key] {
		j.rep.Snapshots++
	}
	return errors.Join(err, l.save())
}

// needs are the packs and the log of a snapshot.
func (j *job) needs(ctx context.Context, h repo.Header) ([]object, error) {
	r := *j.repo // its lists may lie whole in either store
	r.Store, r.Others = j.sides[0].Store, []objstore.Store{j.sides[1].Store}
	packs, err := r.Packs(ctx, h)
	if err != nil {
		return nil, err
	}
	var out []object
	for _, p := range packs {
		out = append(out, object{key: p.ID.Key(), kind: Pack, size: p.Size, prove: repo.Sum(p.ID.String())})
	}
	for _, w := range h.WAL {
		out = append(out, object{key: w.Key, kind: Log, size: w.Size, prove: repo.Sum(w.SHA256)})
	}
	return out, nil
}

// lostOf names something that the snapshot needs and nobody has.
func (j *job) lostOf(h repo.Header, need []object) string {
	for _, name := range h.PackLists {
		if key := repo.PackListPrefix + name; j.lost[key] {
			return key
		}
	}
	for _, o := range need {
		if j.lost[o.key] {
			return o.key
		}
	}
	return ""
}

// mendLoose copies what no snapshot names. Leases, plans of deletion and the index belong to one store and stay there: losing the
// index costs an upload, never data.
func (j *job) mendLoose(ctx context.Context) error {
	l, err := j.lockers(j.o.Now(), retain.Daily)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for i := range j.sides {
		for key := range j.has[i] {
			if kind := loose(key); kind != "" && (i == 0 || j.both) {
				g.Go(func() error {
					return j.mend(ctx, object{key: key, kind: kind, prove: named(key), tell: j.teller(kind)}, l)
				})
			}
		}
	}
	return errors.Join(g.Wait(), l.save())
}

// named proves an object that is named by the SHA-256 of its bytes; nil: it is not.
func named(key string) func(data []byte) error {
	sum := key[strings.LastIndexByte(key, '/')+1:]
	if _, err := repo.ParsePackID(sum); err != nil {
		return nil
	}
	return repo.Sum(sum)
}

// teller says whether the bytes of an object look right: log is an age file.
func (j *job) teller(k Kind) func(data []byte) bool {
	if k != Log {
		return nil
	}
	return func(data []byte) bool { return bytes.HasPrefix(data, []byte("age-encryption.org/v1\n")) }
}

// loose is the kind of an object that no snapshot names; empty: not to be copied.
func loose(key string) Kind {
	for _, prefix := range []string{repo.RootKey, repo.SettingsPrefix, repo.KeyringPrefix, repo.PackPrefix, repo.PackListPrefix, repo.SnapshotPrefix, repo.IndexPrefix, "t/", "l/"} {
		if strings.HasPrefix(key, prefix) {
			return ""
		}
	}
	if strings.HasPrefix(key, repo.WALPrefix) {
		return Log
	}
	return Other
}
