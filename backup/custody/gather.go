package custody

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/progress"
	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// inFlight is the number of headers that are read at once. A terabyte is 60 thousand packs; at 50 ms for each answer they take
// 50 seconds.
const inFlight = 64

// maxHead bounds what is read of one object in search of its header, in bytes.
const maxHead = 16 << 20

// gathering collects the keys of sealed objects.
type gathering struct {
	repo *repo.Repo
	head int64 // bytes that are read of an object at first

	mu      sync.Mutex
	keys    map[string][]byte // by object
	headers int
	failed  map[string]error // objects that could not be opened
}

func newGathering(r *repo.Repo) *gathering {
	g := &gathering{repo: r, keys: map[string][]byte{}, failed: map[string]error{}}
	for _, s := range r.Generations {
		g.head = max(g.head, headerSize(s.Recipients))
	}
	return g
}

// headerSize is room for the header of an age file for these recipients: about 160 bytes for each of the classic ones, ten times
// as much for a post-quantum one.
func headerSize(recipients []string) int64 {
	n := int64(256)
	for _, name := range recipients {
		switch {
		case strings.HasPrefix(name, "age1pq1"):
			n += 1700
		case len(name) > 62: // of a plugin
			n += 700
		default:
			n += 200
		}
	}
	return n
}

// minHeader is less than the header of any age file takes, in bytes.
const minHeader = 64

// plain objects are readable for everybody, or for hosts.
var plain = []string{repo.RootKey, repo.IndexPrefix, repo.PackListPrefix, repo.KeyringPrefix, repo.SettingsPrefix}

// sealedObjects lists what may have a header of age: everything but what is known to have none.
func sealedObjects(ctx context.Context, st objstore.Store) ([]objstore.Info, error) {
	var out []objstore.Info
	for info, err := range st.List(ctx, "") {
		if err != nil {
			return nil, repo.StoreError("list the objects of", st, "", err)
		}
		if !slices.ContainsFunc(plain, func(prefix string) bool { return strings.HasPrefix(info.Key, prefix) }) {
			out = append(out, info)
		}
	}
	return out, nil
}

// all opens the headers of all sealed objects whose keys are not known yet. Objects that cannot be opened are noted. Error kinds:
// those of a store that is away.
func (g *gathering) all(ctx context.Context, p progress.Reporter) error {
	objects, err := sealedObjects(ctx, g.repo.Store)
	if err != nil {
		return err
	}
	objects = slices.DeleteFunc(objects, func(o objstore.Info) bool { return g.known(o.Key) })
	task := p.Task("hand on", progress.Items, int64(len(objects)))
	defer task.Done()
	return g.open(ctx, objects, func() { task.Add(1) })
}

// settings are at hand: their index keys are age files too. Those that all of the recipients open need not be handed on.
func (g *gathering) settings(recipients []string) {
	for _, s := range g.repo.Generations {
		if !slices.ContainsFunc(recipients, func(name string) bool { return !slices.Contains(s.Recipients, name) }) {
			continue
		}
		object := repo.SettingsKey(s.Generation)
		key, err := sealed.FileKey(s.IndexKey, g.repo.IdentitiesFor(object)...)
		g.note(object, key, err)
	}
}

// known takes over the key that an earlier keyring holds.
func (g *gathering) known(object string) bool {
	if _, ok := g.keys[object]; ok {
		return true
	}
	key, ok := g.repo.HandedOn(object)
	if ok {
		g.keys[object] = key
	}
	return ok
}

func (g *gathering) open(ctx context.Context, objects []objstore.Info, done func()) error {
	jobs, ctx := errgroup.WithContext(ctx)
	jobs.SetLimit(inFlight)
	for _, o := range objects {
		jobs.Go(func() error {
			key, err := g.fileKey(ctx, o)
			if k := uerr.KindOf(err); err != nil && k != uerr.Auth && k != uerr.Integrity {
				return err
			}
			g.note(o.Key, key, err)
			done()
			return nil
		})
	}
	return jobs.Wait()
}

// note keeps a key. An object that has none, or that was deleted meanwhile, has neither key nor error.
func (g *gathering) note(object string, key []byte, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err != nil:
		g.failed[object] = err
	case key != nil:
		g.keys[object] = key
		delete(g.failed, object)
	}
}

// fileKey reads as much of an object as its header takes. Error kinds: Auth (no identity opens it), Integrity, and those of a
// store that is away.
func (g *gathering) fileKey(ctx context.Context, o objstore.Info) ([]byte, error) {
	const op = "read the header of"
	st := g.repo.Store
	n := g.head
	if strings.HasPrefix(o.Key, repo.SnapshotPrefix) {
		n = max(n, 16<<10) // the signed header comes first
	}
	for ; ; n *= 4 {
		n = min(n, o.Size)
		head, err := repo.ReadHead(ctx, st, o.Key, n)
		if errors.Is(err, objstore.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, repo.StoreError(op, st, o.Key, err)
		}
		g.mu.Lock()
		g.headers++
		g.mu.Unlock()
		part, err := sealedPart(o.Key, head)
		if err == nil && !sealed.IsSealed(part) {
			return nil, foreign(o.Key)
		}
		var key []byte
		if err == nil {
			key, err = sealed.FileKey(part, g.repo.IdentitiesFor(o.Key)...)
		}
		switch {
		case err == nil:
			return key, nil
		case !errors.Is(err, sealed.ErrShortHeader):
			return nil, failure(op, st, o.Key, err)
		case n == o.Size || n >= maxHead:
			return nil, repo.Tampered(op, st, o.Key, errors.New("its header has no end"))
		}
	}
}

// failure names the object; an identity that does not fit is no damage.
func failure(op string, st objstore.Store, key string, err error) error {
	if uerr.KindOf(err) == uerr.Auth {
		return uerr.New(uerr.Auth, op, st.String()+" "+key, err, uerr.HintOf(err))
	}
	return repo.Tampered(op, st, key, err)
}

// foreign is the verdict on an object without a header: damage where each object has one, nothing to hand on elsewhere.
func foreign(key string) error {
	for _, prefix := range []string{repo.PackPrefix, repo.SnapshotPrefix, repo.WALPrefix} {
		if strings.HasPrefix(key, prefix) {
			return uerr.New(uerr.Integrity, "read the header of", key, errors.New("it is not encrypted: it was changed or damaged"), "practicectl backup verify")
		}
	}
	return nil
}

// sealedPart is where the age file begins in an object: behind the two lines of the header in a snapshot, else at once.
func sealedPart(key string, head []byte) ([]byte, error) {
	if !strings.HasPrefix(key, repo.SnapshotPrefix) {
		return head, nil
	}
	for range 2 {
		_, rest, ok := bytes.Cut(head, []byte("\n"))
		if !ok || len(rest) < minHeader {
			return nil, sealed.ErrShortHeader
		}
		head = rest
	}
	return head, nil
}

// needed are the objects without which a snapshot that can be trusted cannot be restored.
func needed(ctx context.Context, r *repo.Repo) (map[string]bool, error) {
	snapshots, err := r.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, s := range r.Generations {
		out[repo.SettingsKey(s.Generation)] = true
	}
	for _, s := range snapshots {
		if s.Err != nil {
			continue
		}
		out[s.Key] = true
		packs, err := r.Packs(ctx, s.Header)
		if err != nil {
			return nil, err
		}
		for _, p := range packs {
			out[p.ID.Key()] = true
		}
		for _, o := range s.Header.WAL {
			out[o.Key] = true
		}
	}
	return out, nil
}

// verdict decides about the objects that could not be opened: one that a snapshot needs stops the rotation, since the new
// identities would not restore that snapshot. With leave, those that are damaged are left behind. The names of all that are
// left are returned.
func (g *gathering) verdict(ctx context.Context, leave bool) ([]string, error) {
	left := []string{}
	if len(g.failed) == 0 {
		return left, nil
	}
	need, err := needed(ctx, g.repo)
	if err != nil {
		return nil, err
	}
	var worst error
	stopped := 0
	for object, err := range g.failed {
		left = append(left, object)
		if !need[object] || leave && uerr.KindOf(err) == uerr.Integrity {
			continue
		}
		stopped++
		if worst == nil || uerr.KindOf(err) == uerr.Auth {
			worst = err
		}
	}
	slices.Sort(left)
	switch {
	case stopped == 0:
		return left, nil
	case uerr.KindOf(worst) == uerr.Auth:
		return nil, uerr.New(uerr.Auth, "hand on what is stored in", g.repo.Store.String(), fmt.Errorf("%d objects are not opened by the given identities, the first: %w", stopped, worst),
			"give every identity that you have: --identity FILE --identity FILE")
	}
	return nil, uerr.New(uerr.Integrity, "hand on what is stored in", g.repo.Store.String(), fmt.Errorf("%d objects are damaged, the first: %w", stopped, worst),
		"see which snapshots need them: practicectl backup verify. To go on without them: --leave-damaged")
}
