package repo

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

// maxSnapshot bounds a snapshot object.
const maxSnapshot = 300 << 20

// Snapshot is a snapshot as it is stored.
type Snapshot struct {
	Key      string
	Header   Header
	Stored   time.Time // when the store took it, by the store's clock
	Shadowed string    // what lies over it, where it was read from an older version
	Err      error     // why it cannot be trusted; the header is then empty
	body     []byte
}

// Snapshots reads all snapshots, oldest first. One that cannot be trusted is listed with its error.
func (r *Repo) Snapshots(ctx context.Context) ([]Snapshot, error) {
	const op = "list the snapshots of"
	var out []Snapshot
	all, err := listAll(ctx, r.Store, SnapshotPrefix)
	if err != nil {
		return nil, StoreError(op, r.Store, "", err)
	}
	for _, one := range all {
		s, err := r.readSnapshot(ctx, one)
		if err != nil && s.Err == nil {
			return nil, err
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b Snapshot) int {
		return cmp.Or(a.Header.Created.Compare(b.Header.Created), cmp.Compare(a.Key, b.Key))
	})
	return out, nil
}

func (r *Repo) readSnapshot(ctx context.Context, l listed) (Snapshot, error) {
	const op = "read the snapshot"
	s := Snapshot{Key: l.Key, Stored: l.Modified}
	_, shadowed, err := r.readFirst(ctx, op, l, maxSnapshot, func(data []byte) (err error) {
		s.Header, s.body, err = ParseSnapshot(l.Key, data, r.Settings)
		return err
	})
	if err != nil {
		s.Header, s.body = Header{}, nil
	}
	if uerr.KindOf(err) == uerr.Integrity {
		s.Err = err
	}
	if shadowed != nil {
		s.Shadowed = shadowed.Error()
	}
	return s, err
}

// Find returns the snapshot that want names: "latest", or the beginning of an id. Error kinds: NotFound, Integrity when
// the snapshot meant cannot be trusted, Usage when several are meant.
func (r *Repo) Find(ctx context.Context, want string) (Snapshot, error) {
	const op = "find the snapshot"
	if want == "latest" {
		return r.latest(ctx)
	}
	all, err := listAll(ctx, r.Store, SnapshotPrefix)
	if err != nil {
		return Snapshot{}, StoreError(op, r.Store, "", err)
	}
	var found []listed
	for _, one := range all {
		if _, _, id, err := ParseSnapshotKey(one.Key); err == nil && want != "" && strings.HasPrefix(id, want) {
			found = append(found, one)
		}
	}
	switch len(found) {
	case 0:
		return Snapshot{}, uerr.New(uerr.NotFound, op, want, errors.New("there is none in "+r.Store.String()), "practicectl backup list")
	case 1:
		return r.readSnapshot(ctx, found[0])
	}
	return Snapshot{}, uerr.New(uerr.Usage, op, want, fmt.Errorf("%d snapshots begin with it", len(found)), "give more digits of the id")
}

// Latest is the newest snapshot of a host that can be trusted; the zero Snapshot when there is none. Newer ones that cannot be
// trusted come as an error of kind Integrity beside it.
func (r *Repo) Latest(ctx context.Context, host string) (Snapshot, error) {
	all, err := r.newest(ctx, SnapshotPrefix+host+"/")
	var distrusted []error
	for i := 0; err == nil && i < len(all); i++ {
		s, rerr := r.readSnapshot(ctx, all[i].listed)
		if rerr == nil {
			return s, errors.Join(distrusted...)
		}
		if s.Err == nil {
			return Snapshot{}, rerr
		}
		distrusted = append(distrusted, rerr)
	}
	return Snapshot{}, errors.Join(err, errors.Join(distrusted...))
}

// latest is the newest snapshot of all hosts. One that was tampered with is an error: restoring an older one instead must be
// somebody's decision.
func (r *Repo) latest(ctx context.Context) (Snapshot, error) {
	all, err := r.newest(ctx, SnapshotPrefix)
	switch {
	case err != nil:
		return Snapshot{}, err
	case len(all) == 0:
		return Snapshot{}, uerr.New(uerr.NotFound, "find the newest snapshot in", r.Store.String(), errors.New("there are no snapshots"), "practicectl backup run")
	}
	return r.readSnapshot(ctx, all[0].listed)
}

// dated is a snapshot's object and when the snapshot was begun, as far as the store's clock bears that out.
type dated struct {
	listed
	when time.Time
}

// Future is how far a snapshot's name may lie ahead of the store's clock before the store is believed rather than the name.
const Future = 24 * time.Hour

// newest lists the snapshots under prefix, newest first, by the times in their names, which the signed headers repeat. A name
// ahead of the time at which the store took the object is not believed: a clock was wrong, or somebody wants to be the newest
// for ever.
func (r *Repo) newest(ctx context.Context, prefix string) ([]dated, error) {
	var out []dated
	all, err := listAll(ctx, r.Store, prefix)
	if err != nil {
		return nil, StoreError("find the newest snapshot in", r.Store, "", err)
	}
	for _, one := range all {
		_, when, _, err := ParseSnapshotKey(one.Key)
		if err != nil {
			continue // nothing of ours: no snapshot has such a name
		}
		if when.After(one.Modified.Add(Future)) {
			when = one.Modified
		}
		out = append(out, dated{one, when})
	}
	slices.SortStableFunc(out, func(a, b dated) int { return cmp.Or(b.when.Compare(a.when), strings.Compare(b.Key, a.Key)) })
	return out, nil
}

// Body decrypts the body of s. Error kinds: Auth, Integrity.
func (r *Repo) Body(s Snapshot) (Body, error) {
	b, err := OpenBody(s.Header, s.body, r.IdentitiesFor(s.Key)...)
	if err == nil {
		return b, nil
	}
	if uerr.KindOf(err) == uerr.Auth {
		return b, uerr.New(uerr.Auth, "open the snapshot", s.Key, err, uerr.HintOf(err))
	}
	return b, Tampered("open the snapshot", r.Store, s.Key, err)
}

// maxInlinePacks is the number of packs up to which a header lists them itself.
const maxInlinePacks = 64

// SplitPacks decides how a header lists packs: inline, or as lists stored apart, of which a later snapshot reuses those
// that did not change. A list ends after a pack whose last byte is below 4, on the average after 64.
func SplitPacks(packs []StoredPack) (inline []StoredPack, lists map[string][]byte, order []string) {
	slices.SortFunc(packs, func(a, b StoredPack) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	if len(packs) <= maxInlinePacks {
		return packs, nil, nil
	}
	lists = map[string][]byte{}
	var b bytes.Buffer
	for i, p := range packs {
		line, _ := p.MarshalText() // never fails
		b.Write(append(line, '\n'))
		if p.ID[31] < 4 || i == len(packs)-1 {
			sum := sha256.Sum256(b.Bytes())
			name := hex.EncodeToString(sum[:])
			lists[name] = bytes.Clone(b.Bytes())
			order = append(order, name)
			b.Reset()
		}
	}
	return nil, lists, order
}

// Packs lists the packs that h references.
func (r *Repo) Packs(ctx context.Context, h Header) ([]StoredPack, error) {
	out := slices.Clone(h.Packs)
	for _, name := range h.PackLists {
		list, err := r.PackList(ctx, name)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// PackList reads one list of packs.
func (r *Repo) PackList(ctx context.Context, name string) ([]StoredPack, error) {
	const op = "read the list of packs"
	key := PackListPrefix + name
	data, err := r.ReadProved(ctx, op, key, 0, maxDocument, Sum(name))
	if err != nil {
		return nil, err
	}
	var out []StoredPack
	for line := range strings.Lines(string(data)) {
		var p StoredPack
		if err := p.UnmarshalText([]byte(strings.TrimSuffix(line, "\n"))); err != nil {
			return nil, Tampered(op, r.Store, key, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// Claims reads what a snapshot that cannot be trusted says of itself: garbage collection keeps what it names. ok is false when it
// says nothing.
func (r *Repo) Claims(ctx context.Context, key string) (h Header, ok bool, err error) {
	data, err := ReadObject(ctx, r.Store, key, maxSnapshot)
	switch {
	case errors.Is(err, objstore.ErrNotFound), uerr.KindOf(err) == uerr.Integrity:
		return h, false, nil
	case err != nil:
		return h, false, StoreError("read the snapshot", r.Store, key, err)
	}
	line, _, _, err := split(data)
	if err == nil {
		err = decode(line, &h.Format, &h)
	}
	return h, err == nil && (len(h.Packs) > 0 || len(h.PackLists) > 0 || len(h.WAL) > 0), nil
}
