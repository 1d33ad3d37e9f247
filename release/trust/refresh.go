package trust

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"practicectl/internal/uerr"
	"practicectl/release"
)

// Refresh asks the source for the newest state of the channel and of deps, and verifies it.
//
// Error kinds: Unreachable when the source cannot be had, withholds a file or is too slow; Integrity for bad
// signatures, roll-back, mixed or damaged metadata; Precond when it expired, when the clock is wrong or the format is
// newer; NotFound when the channel has no release; NoSpace.
func (c *Client) Refresh(ctx context.Context) (*Catalog, error) {
	const op = "check releases at"
	if c.o.Channel == "" {
		return nil, uerr.New(uerr.Config, op, c.src.String(), errors.New("no channel"), "practicectl config show")
	}
	v, err := c.verify(ctx, ask{roles: []string{c.o.Channel, release.Deps}})
	if err != nil {
		return nil, classify(op, c.src.String(), err)
	}
	cat := &Catalog{Issued: v.issued, Expires: v.expires, Now: v.ref, Stale: v.stale, Deps: release.Index{Schema: release.IndexSchema, Channel: release.Deps}}
	for _, r := range v.roles {
		if r.name == c.o.Channel {
			cat.Index = r.index
		} else {
			cat.Deps = r.index
		}
		cat.targets = append(cat.targets, r.targets...)
	}
	if cat.Index.Channel == "" {
		return nil, uerr.New(uerr.NotFound, op, c.src.String(), fmt.Errorf("channel %s has no release yet", c.o.Channel), "choose another channel in the configuration: practicectl config show")
	}
	slices.SortFunc(cat.targets, func(a, b release.Target) int { return strings.Compare(a.Path, b.Path) })
	return cat, nil
}

// verified is one consistent state of a repository.
type verified struct {
	set     trustedmetadata.TrustedMetadata
	roles   []verifiedRole
	issued  time.Time
	expires time.Time
	ref     time.Time
	stale   bool
	expired []string // roles left out
}

// ask says which roles to verify.
type ask struct {
	roles       []string
	skipExpired bool // leave out channels that expired instead of failing: a dead beta must not stop a mirror
}

type verifiedRole struct {
	name     string
	index    release.Index
	rawIndex []byte
	indexSum string
	targets  []release.Target
}

// verify brings the named roles of the source into one consistent, trusted state. Roles without metadata are left out.
func (c *Client) verify(ctx context.Context, q ask) (*verified, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, k, err := c.attempt(ctx, q)
	for i := 0; i < 4 && errors.Is(err, errNewRoot); i++ {
		v, k, err = c.attempt(ctx, q)
	}
	if err != nil {
		return nil, err
	}
	if v.issued, err = issuedAt(v.set.Timestamp, v.set.Root); err != nil {
		return nil, err
	}
	if suspected(v.ref, v.issued) {
		return nil, &clockError{now: v.ref, issued: v.issued}
	}
	if v.issued.After(v.ref) { // the clock is behind: what is signed has certainly passed
		v.ref = v.issued
		if err := c.checkOffline(v, v.ref, q); err != nil {
			return nil, err
		}
	}
	for i := range v.roles {
		if err := c.readIndex(ctx, v, &v.roles[i]); err != nil {
			return nil, err
		}
	}
	return v, c.keepClock(k, v.issued)
}

// errNewRoot asks for another attempt: a new root has replaced the timestamp keys, and with them what is remembered
// of the clock.
var errNewRoot = errors.New("new root")

// attempt verifies from the newest known root at the time that is known to have come. Roots it meets are kept even
// when it fails.
func (c *Client) attempt(ctx context.Context, q ask) (*verified, clock, error) {
	rootData, root, err := c.newestRoot()
	if err != nil {
		return nil, clock{}, err
	}
	k, err := c.loadClock(root)
	if err != nil {
		return nil, clock{}, err
	}
	ref := c.reference(k)
	f := &fetcher{ctx: ctx, src: c.src, seen: map[string][]byte{}}
	v, failed := c.consistent(f, rootData, ref, q)
	if err := c.keepRoots(rootData, f.seen); err != nil {
		return nil, clock{}, err
	}
	_, now, err := c.newestRoot()
	if err != nil {
		return nil, clock{}, err
	}
	if !slices.Equal(timestampKeys(now), k.Keys) {
		return nil, clock{}, errNewRoot
	}
	return v, k, failed
}

// consistent lets go-tuf verify the top-level roles and the named ones, all against one reference time. Where the mode
// allows a grace, an expired timestamp or snapshot is judged by the moment before its own signed expiry, and everything
// that is signed offline must still be valid now.
func (c *Client) consistent(f *fetcher, rootData []byte, ref time.Time, q ask) (*verified, error) {
	at := ref
	for range 3 {
		v, err := c.once(f, rootData, at, q)
		if err == nil {
			v.ref, v.stale = ref, at.Before(ref)
			return v, c.checkOffline(v, ref, q)
		}
		if !errors.Is(err, &metadata.ErrExpiredMetadata{}) {
			return nil, err
		}
		what, expired := shortLived(v.set, at)
		if issued, known := c.whenIssued(f, v.set, rootData); known && suspected(ref, issued) {
			return nil, &clockError{now: ref, issued: issued}
		}
		if what == "" {
			return nil, err // root, targets or a channel: no grace for those
		}
		if ref.Sub(expired) > c.grace {
			return nil, &staleError{what: what, expired: expired, grace: c.grace}
		}
		at = expired.Add(-time.Second)
	}
	return nil, &metadata.ErrExpiredMetadata{Msg: "timestamp and snapshot are never valid together"}
}

// once runs one go-tuf updater. A fresh one is needed each time: it refreshes once, and caches roles by name.
// On an error the set says how far it came.
func (c *Client) once(f *fetcher, rootData []byte, at time.Time, q ask) (*verified, error) {
	v := &verified{}
	cfg, err := config.New(metadataBase, rootData)
	if err != nil {
		return v, err
	}
	cfg.Fetcher = f
	cfg.LocalMetadataDir, cfg.LocalTargetsDir = c.metadataDir(), c.metadataDir()
	up, err := updater.New(cfg)
	if err != nil {
		return v, err
	}
	up.UnsafeSetRefTime(at)
	err = up.Refresh()
	v.set = up.GetTrustedMetadataSet()
	if err != nil {
		return v, err
	}
	for _, role := range q.roles {
		if _, exists := v.set.Snapshot.Signed.Meta[role+".json"]; !exists {
			continue
		}
		_, err := up.GetTargetInfo(release.IndexPath(role))
		if q.skipExpired && errors.Is(err, &metadata.ErrExpiredMetadata{}) {
			v.expired = append(v.expired, role)
			continue
		}
		if err != nil {
			return v, fmt.Errorf("channel %s: %w", role, err)
		}
		r, err := checkRole(up.GetTrustedMetadataSet(), role)
		if err != nil {
			return v, err
		}
		v.roles = append(v.roles, r)
	}
	v.expires = earliest(v.set)
	return v, nil
}

// checkRole lists a role after making sure that it was vouched for by the top-level targets role and nobody else.
func checkRole(set trustedmetadata.TrustedMetadata, role string) (verifiedRole, error) {
	meta, top := set.Targets[role], set.Targets[metadata.TARGETS]
	if meta == nil || top == nil {
		return verifiedRole{}, &metadata.ErrRepository{Msg: "role " + role + " was not loaded"}
	}
	if len(top.Signed.Targets) > 0 {
		return verifiedRole{}, &metadata.ErrRepository{Msg: "the top-level targets role must only delegate"}
	}
	if meta.Signed.Delegations != nil {
		return verifiedRole{}, &metadata.ErrRepository{Msg: "role " + role + " delegates further, which is not allowed"}
	}
	if err := top.VerifyDelegate(role, meta); err != nil {
		return verifiedRole{}, err
	}
	targets, err := listTargets(role, meta.Signed.Targets)
	return verifiedRole{name: role, targets: targets}, err
}

// checkOffline demands that everything signed offline is valid at the real time.
func (c *Client) checkOffline(v *verified, ref time.Time, q ask) error {
	if v.set.Root.Signed.IsExpired(ref) {
		return &staleError{what: "the root role", expired: v.set.Root.Signed.Expires}
	}
	for name, t := range v.set.Targets {
		switch {
		case !t.Signed.IsExpired(ref):
		case q.skipExpired && name != metadata.TARGETS:
			delete(v.set.Targets, name)
			v.roles = slices.DeleteFunc(v.roles, func(r verifiedRole) bool { return r.name == name })
			v.expired = append(v.expired, name)
		default:
			return &staleError{what: "the role " + name, expired: t.Signed.Expires}
		}
	}
	return nil
}

// shortLived names the expired one of timestamp and snapshot that expired first.
func shortLived(set trustedmetadata.TrustedMetadata, at time.Time) (what string, expired time.Time) {
	if set.Timestamp != nil && set.Timestamp.Signed.IsExpired(at) {
		what, expired = "timestamp.json", set.Timestamp.Signed.Expires
	}
	if set.Snapshot != nil && set.Snapshot.Signed.IsExpired(at) && (what == "" || set.Snapshot.Signed.Expires.Before(expired)) {
		what, expired = "snapshot.json", set.Snapshot.Signed.Expires
	}
	return what, expired
}

// whenIssued reads the signed time although something has expired, to tell a wrong clock from an old source.
func (c *Client) whenIssued(f *fetcher, set trustedmetadata.TrustedMetadata, rootData []byte) (time.Time, bool) {
	if set.Root == nil {
		return time.Time{}, false
	}
	if set.Timestamp == nil { // an expired root hides the timestamp: look from a time when the root was valid
		v, _ := c.once(f, rootData, set.Root.Signed.Expires.Add(-time.Second), ask{})
		if set = v.set; set.Timestamp == nil {
			return time.Time{}, false
		}
	}
	issued, err := issuedAt(set.Timestamp, set.Root)
	return issued, err == nil
}

func earliest(set trustedmetadata.TrustedMetadata) time.Time {
	e := set.Timestamp.Signed.Expires
	for _, t := range []time.Time{set.Snapshot.Signed.Expires, set.Root.Signed.Expires} {
		if t.Before(e) {
			e = t
		}
	}
	for _, t := range set.Targets {
		if t.Signed.Expires.Before(e) {
			e = t.Signed.Expires
		}
	}
	return e
}

// readIndex fetches index.json of a role, a target like any other but small enough for memory.
func (c *Client) readIndex(ctx context.Context, v *verified, r *verifiedRole) error {
	path := release.IndexPath(r.name)
	f := v.set.Targets[r.name].Signed.Targets[path]
	if f == nil {
		return &metadata.ErrRepository{Msg: path + " is missing"}
	}
	sum, err := onlyHash(path, f)
	if err != nil {
		return err
	}
	if f.Length > release.MaxIndexBytes {
		return &tooLong{name: path, max: release.MaxIndexBytes}
	}
	cached := filepath.Join(c.metadataDir(), r.name+".index.json")
	data, err := os.ReadFile(cached)
	if err != nil || f.VerifyLengthHashes(data) != nil {
		if data, err = readAll(ctx, c.src, "targets/"+release.StoredPath(path, sum), f.Length); err != nil {
			return err
		}
		if err := f.VerifyLengthHashes(data); err != nil {
			return err
		}
		if err := os.WriteFile(cached, data, 0o644); err != nil { // a cache: checked again at every use
			return err
		}
	}
	r.rawIndex, r.indexSum = data, sum
	if r.index, err = release.ParseIndex(r.name, data); err != nil && !errors.Is(err, release.ErrNewerFormat) {
		return &metadata.ErrRepository{Msg: err.Error()}
	}
	return err
}
