package trust

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

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
		return nil, classify(op, c.src.String(), c.foreign(ctx, err))
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
