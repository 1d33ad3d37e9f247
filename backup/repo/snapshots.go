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

	"practicectl/internal/uerr"
)

// maxSnapshot bounds a snapshot object.
const maxSnapshot = 300 << 20

// Snapshot is a snapshot as it is stored.
type Snapshot struct {
	Key    string
	Header Header
	body   []byte
	Err    error // why it cannot be trusted; the header is then empty
}

// Snapshots reads all snapshots, oldest first. One that cannot be trusted is listed with its error.
func (r *Repo) Snapshots(ctx context.Context) ([]Snapshot, error) {
	const op = "list the snapshots of"
	var out []Snapshot
	for info, err := range r.Store.List(ctx, SnapshotPrefix) {
		if err != nil {
			return nil, StoreError(op, r.Store, "", err)
		}
		s, err := r.readSnapshot(ctx, info.Key)
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

func (r *Repo) readSnapshot(ctx context.Context, key string) (Snapshot, error) {
	const op = "read the snapshot"
	s := Snapshot{Key: key}
	_, err := r.ReadProved(ctx, op, key, 0, maxSnapshot, func(data []byte) (err error) {
		s.Header, s.body, err = ParseSnapshot(key, data, r.Settings)
		return err
	})
	if err != nil {
		s.Header, s.body = Header{}, nil
	}
	if uerr.KindOf(err) == uerr.Integrity {
		s.Err = err
	}
	return s, err
}

// Find returns the snapshot that want names: "latest", or the beginning of an id. Error kinds: NotFound, Integrity when
// the snapshot meant cannot be trusted, Usage when several are meant.
func (r *Repo) Find(ctx context.Context, want string) (Snapshot, error) {
	const op = "find the snapshot"
	if want == "latest" {
		return r.latest(ctx, "")
	}
	var keys []string
	for info, err := range r.Store.List(ctx, SnapshotPrefix) {
		if err != nil {
			return Snapshot{}, StoreError(op, r.Store, "", err)
		}
		if _, _, id, err := ParseSnapshotKey(info.Key); err == nil && want != "" && strings.HasPrefix(id, want) {
			keys = append(keys, info.Key)
		}
	}
	switch len(keys) {
	case 0:
		return Snapshot{}, uerr.New(uerr.NotFound, op, want, errors.New("there is none in "+r.Store.String()), "practicectl backup list")
	case 1:
		return r.readSnapshot(ctx, keys[0])
	}
	return Snapshot{}, uerr.New(uerr.Usage, op, want, fmt.Errorf("%d snapshots begin with it", len(keys)), "give more digits of the id")
}

// Latest is the newest snapshot of a host; the zero Snapshot when there is none.
func (r *Repo) Latest(ctx context.Context, host string) (Snapshot, error) {
	s, err := r.latest(ctx, host)
	if uerr.KindOf(err) == uerr.NotFound {
		return Snapshot{}, nil
	}
	return s, err
}

// latest goes by the times in the names, which the signed headers repeat. A newest snapshot that was tampered with is an
// error: restoring an older one instead must be somebody's decision.
func (r *Repo) latest(ctx context.Context, host string) (Snapshot, error) {
	prefix := SnapshotPrefix
	if host != "" {
		prefix += host + "/"
	}
	var key, when string
	for info, err := range r.Store.List(ctx, prefix) {
		if err != nil {
			return Snapshot{}, StoreError("find the newest snapshot in", r.Store, "", err)
		}
		if name := info.Key[strings.LastIndexByte(info.Key, '/')+1:]; name > when {
			key, when = info.Key, name
		}
	}
	if key == "" {
		return Snapshot{}, uerr.New(uerr.NotFound, "find the newest snapshot in", r.Store.String(), errors.New("there are no snapshots"), "practicectl backup run")
	}
	return r.readSnapshot(ctx, key)
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
	const op = "read the list of packs"
	out := slices.Clone(h.Packs)
	for _, name := range h.PackLists {
		key := PackListPrefix + name
		data, err := r.ReadProved(ctx, op, key, 0, maxDocument, Sum(name))
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(data)) {
			var p StoredPack
			if err := p.UnmarshalText([]byte(strings.TrimSuffix(line, "\n"))); err != nil {
				return nil, Tampered(op, r.Store, key, err)
			}
			out = append(out, p)
		}
	}
	return out, nil
}
