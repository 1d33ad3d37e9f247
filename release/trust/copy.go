package trust

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"practicectl/release"
)

// Copy is one verified state of a repository with everything needed to serve it again.
type Copy struct {
	Files     []CopyFile       // in the order in which they must be put in place; timestamp.json is the last
	Targets   []release.Target // to be fetched with [Client.Fetch] before any of Files is put in place
	Indexes   []release.Index
	Version   int64 // of the timestamp; rises with every publication
	Root      int64 // version of the newest root
	Issued    time.Time
	Expires   time.Time
	Stale     bool
	Expired   []string // channels left out because their signatures ended
	Untrusted []string // older roots that the source has but that do not lead to ours; not copied
}

// CopyFile is a small file of a repository, by its name in it: "metadata/3.snapshot.json".
type CopyFile struct {
	Name string
	Data []byte
}

// Copy verifies the named roles (nil: all that exist and have not expired) as Refresh does and returns what a mirror must hold to serve
// them. Error kinds as of Refresh.
func (c *Client) Copy(ctx context.Context, roles []string) (*Copy, error) {
	const op = "copy the releases of"
	if len(roles) == 0 {
		roles = release.Roles()
	}
	v, err := c.verify(ctx, ask{roles: roles, skipExpired: true})
	if err != nil {
		return nil, classify(op, c.src.String(), c.foreign(ctx, err))
	}
	cp := &Copy{Version: v.set.Timestamp.Signed.Version, Root: v.set.Root.Signed.Version, Issued: v.issued, Expires: v.expires, Stale: v.stale, Expired: v.expired}
	if err := c.copyFiles(ctx, v, cp); err != nil {
		return nil, classify(op, c.src.String(), err)
	}
	for _, r := range v.roles {
		cp.Indexes = append(cp.Indexes, r.index)
		cp.Targets = append(cp.Targets, r.targets...)
	}
	return cp, nil
}

func (c *Client) copyFiles(ctx context.Context, v *verified, cp *Copy) error {
	for _, r := range v.roles {
		cp.Files = append(cp.Files, CopyFile{"targets/" + release.StoredPath(release.IndexPath(r.name), r.indexSum), r.rawIndex})
	}
	if err := c.copyRoots(ctx, cp); err != nil {
		return err
	}
	for name, t := range v.set.Targets {
		if err := c.copyMetadata(cp, name, t.Signed.Version); err != nil {
			return err
		}
	}
	if err := c.copyMetadata(cp, metadata.SNAPSHOT, v.set.Snapshot.Signed.Version); err != nil {
		return err
	}
	return c.copyMetadata(cp, metadata.TIMESTAMP, v.set.Timestamp.Signed.Version)
}

// copyMetadata takes the bytes that go-tuf stored after verifying them.
func (c *Client) copyMetadata(cp *Copy, role string, version int64) error {
	data, err := os.ReadFile(filepath.Join(c.metadataDir(), role+".json"))
	if err != nil {
		return err
	}
	var head struct {
		Signed struct {
			Version int64 `json:"version"`
		} `json:"signed"`
	}
	if err := json.Unmarshal(data, &head); err != nil || head.Signed.Version != version {
		return fmt.Errorf("stored metadata of %s is not version %d: remove %s and try again", role, version, c.metadataDir())
	}
	name := role + ".json"
	if role != metadata.TIMESTAMP {
		name = strconv.FormatInt(version, 10) + "." + name
	}
	cp.Files = append(cp.Files, CopyFile{"metadata/" + name, data})
	return nil
}

// copyRoots copies every root, also those before the built-in one: an older client starts from its own.
func (c *Client) copyRoots(ctx context.Context, cp *Copy) error {
	own, err := trustedmetadata.New(c.o.Root)
	if err != nil {
		return err
	}
	first := own.Root.Signed.Version
	older, err := c.olderRoots(ctx, first)
	if err != nil {
		return err
	}
	if len(older) == int(first)-1 {
		cp.Files = append(cp.Files, older...)
	} else {
		cp.Untrusted = append(cp.Untrusted, fmt.Sprintf("roots before version %d", first))
	}
	cp.Files = append(cp.Files, CopyFile{"metadata/" + rootName(first), c.o.Root})
	for n := first + 1; n <= cp.Root; n++ {
		data, err := os.ReadFile(c.rootFile(n))
		if err != nil {
			return err
		}
		cp.Files = append(cp.Files, CopyFile{"metadata/" + rootName(n), data})
	}
	return nil
}

// olderRoots returns roots 1 to first-1 when they lead to the built-in root, else fewer.
func (c *Client) olderRoots(ctx context.Context, first int64) ([]CopyFile, error) {
	var files []CopyFile
	var walk *trustedmetadata.TrustedMetadata
	for n := int64(1); n < first; n++ {
		data, err := os.ReadFile(c.rootFile(n))
		if err != nil {
			if data, err = readAll(ctx, c.src, "metadata/"+rootName(n), 512_000); err != nil {
				return nil, ctx.Err()
			}
		}
		if n == 1 {
			walk, err = trustedmetadata.New(data)
		} else {
			_, err = walk.UpdateRoot(data)
		}
		if err != nil {
			return nil, nil
		}
		files = append(files, CopyFile{"metadata/" + rootName(n), bytes.Clone(data)})
	}
	if walk != nil {
		if _, err := walk.UpdateRoot(c.o.Root); err != nil {
			return nil, nil
		}
	}
	return files, nil
}

// Select keeps the targets of the given components and platforms; empty lists keep all. Targets for any platform are
// always kept.
func Select(targets []release.Target, components, platforms []string) []release.Target {
	return slices.DeleteFunc(slices.Clone(targets), func(t release.Target) bool {
		p := release.Platform(t.OS, t.Arch)
		return len(components) > 0 && !slices.Contains(components, t.Component) ||
			len(platforms) > 0 && p != release.Any && !slices.ContainsFunc(platforms, func(want string) bool { return strings.EqualFold(want, p) })
	})
}
