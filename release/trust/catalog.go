package trust

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"practicectl/internal/uerr"
	"practicectl/release"
)

// Catalog is what a source offers, verified. Only a Client makes one.
type Catalog struct {
	Index   release.Index // of the channel
	Deps    release.Index // parts that are not ours, such as PostgreSQL
	Issued  time.Time     // when the vendor last vouched for this state
	Expires time.Time     // when its shortest-lived signature ends
	Now     time.Time     // trusted time of the check: use it for rollout and deadlines
	Stale   bool          // expired, used within the grace of the mode

	targets []release.Target
}

// Targets returns everything that can be fetched, sorted by path.
func (cat *Catalog) Targets() []release.Target { return slices.Clone(cat.targets) }

// Find returns the archive of a component for a platform, from the channel or from deps. An empty version means the
// newest that is not revoked. Error kind: NotFound.
func (cat *Catalog) Find(component, version, os, arch string) (release.Target, error) {
	for _, ix := range []release.Index{cat.Index, cat.Deps} {
		want := version
		if want == "" {
			want = ix.LatestOf(component)
		}
		for _, t := range cat.targets {
			if role, _ := release.RoleOf(t.Path); role == ix.Channel && t.Component == component && t.Version == want && t.Kind == release.KindFull &&
				(t.OS == os && t.Arch == arch || t.OS == release.Any && t.Arch == release.Any) {
				return t, nil
			}
		}
	}
	what := component
	if version != "" {
		what += " " + version
	}
	return release.Target{}, uerr.New(uerr.NotFound, "find", what+" for "+release.Platform(os, arch),
		fmt.Errorf("not in channel %s", cat.Index.Channel), "practicectl update check")
}

// IndexOf returns the index that holds a component: the channel's, or that of deps.
func (cat *Catalog) IndexOf(component string) release.Index {
	if cat.Index.LatestOf(component) == "" && cat.Deps.LatestOf(component) != "" {
		return cat.Deps
	}
	return cat.Index
}

// listTargets turns the signed targets of a role into words, refusing names that are unsafe or belong elsewhere.
func listTargets(role string, signed map[string]*metadata.TargetFiles) ([]release.Target, error) {
	var out []release.Target
	for path, f := range signed {
		if path == release.IndexPath(role) {
			continue
		}
		sum, err := onlyHash(path, f)
		if err != nil {
			return nil, err
		}
		if err := release.CheckPath(path); err != nil {
			return nil, &metadata.ErrRepository{Msg: err.Error()}
		}
		if got, _ := release.RoleOf(path); got != role || f.Custom == nil {
			return nil, &metadata.ErrRepository{Msg: fmt.Sprintf("role %s lists %.80q", role, path)}
		}
		t, err := release.ParseTarget(path, f.Length, sum, *f.Custom)
		if err != nil {
			return nil, &metadata.ErrRepository{Msg: err.Error()}
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b release.Target) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// onlyHash returns the SHA-256. With two algorithms go-tuf and its mirrors would disagree about the stored name.
func onlyHash(path string, f *metadata.TargetFiles) (string, error) {
	sum, ok := f.Hashes["sha256"]
	if !ok || len(f.Hashes) != 1 || len(sum) != 32 {
		return "", &metadata.ErrRepository{Msg: fmt.Sprintf("target %.80q needs exactly one hash, sha256", path)}
	}
	return hex.EncodeToString(sum), nil
}
