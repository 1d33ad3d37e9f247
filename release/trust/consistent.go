package trust

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"practicectl/release"
)

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
