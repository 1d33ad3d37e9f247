package publish

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
	"practicectl/release"
)

// channelDraft is the next state of a channel role.
type channelDraft struct {
	stage stage
	role  string
	meta  *metadata.Metadata[metadata.TargetsType]
	index release.Index
	now   time.Time
}

// openDraft continues the draft of the stage, or starts one from what is published.
func openDraft(o BuildOptions) (*channelDraft, error) {
	s, err := openStage(o.Stage)
	if err != nil {
		return nil, err
	}
	now, pub := second(o.Now), &state{}
	if o.Repo != "" {
		if pub, err = readState(o.Repo); err != nil {
			return nil, err
		}
	}
	d := &channelDraft{stage: s, role: o.Role, now: now}
	version := pub.version(o.Role) + 1
	if old, ok := s.find(o.Role); ok && old.version == version {
		if d.meta, err = metadata.Targets().FromFile(old.path); err != nil {
			return nil, uerr.New(uerr.Integrity, "read the draft", old.path, err, "remove it and build again")
		}
		data, err := os.ReadFile(d.indexFile())
		if err == nil {
			d.index, err = release.ParseIndex(o.Role, data)
		}
		if err != nil {
			return nil, uerr.New(uerr.Integrity, "read the index in", o.Stage, err, "remove the draft and build again")
		}
	} else {
		d.meta = metadata.Targets()
		if m := pub.roles[o.Role]; m != nil {
			data, err := m.ToBytes(false)
			if err == nil {
				d.meta, err = metadata.Targets().FromBytes(data)
			}
			if err != nil {
				return nil, uerr.New(uerr.Integrity, "copy the role", o.Role, err, "")
			}
		}
		if d.index, err = pub.index(o.Role); err != nil {
			return nil, err
		}
	}
	d.meta.Signed.Version = version
	d.meta.Signed.Expires = now.Add(life(o.Role))
	d.meta.ClearSignatures()
	return d, nil
}

func (d *channelDraft) indexFile() string {
	return filepath.Join(d.stage.targets(), filepath.FromSlash(release.IndexPath(d.role)))
}

func (d *channelDraft) addTarget(t release.Target) error {
	raw, err := t.Custom()
	if err != nil {
		return err
	}
	sum, err := hex.DecodeString(t.SHA256)
	if err != nil {
		return err
	}
	if old := d.meta.Signed.Targets[t.Path]; old != nil && hexHash(old) != t.SHA256 {
		return fmt.Errorf("%s already exists with other content", t.Path)
	}
	d.set(t.Path, t.Length, sum, raw)
	return nil
}

// set lists a target with exactly one hash: go-tuf picks one of several at random for the stored name.
func (d *channelDraft) set(path string, length int64, sum []byte, custom json.RawMessage) {
	f := &metadata.TargetFiles{Length: length, Hashes: metadata.Hashes{"sha256": sum}, Path: path}
	if custom != nil {
		f.Custom = &custom
	}
	d.meta.Signed.Targets[path] = f
}

func hexHash(f *metadata.TargetFiles) string { return hex.EncodeToString(f.Hashes["sha256"]) }

// addRelease enters the release into the index, or completes it when it is there already.
func (d *channelDraft) addRelease(o BuildOptions) (release.Release, error) {
	r := o.Release
	i := slices.IndexFunc(d.index.Releases, func(x release.Release) bool { return x.Version == r.Version })
	if i >= 0 {
		old := d.index.Releases[i]
		r.Components = append(slices.Clone(old.Components), r.Components...)
		if r.Date.IsZero() {
			r.Date = old.Date
		}
	}
	for _, c := range o.Components {
		r.Components = append(r.Components, c.Name)
	}
	slices.Sort(r.Components)
	r.Components = slices.Compact(r.Components)
	if r.Date.IsZero() {
		r.Date = d.now
	}
	if r.Severity == "" {
		r.Severity = release.Feature
	}
	if r.Kind == "" {
		r.Kind = release.Minor
		if d.index.Latest != "" && !release.SameMajor(d.index.Latest, r.Version) {
			r.Kind = release.Major
		}
	}
	if err := r.Check(); err != nil {
		return r, err
	}
	if i >= 0 {
		d.index.Releases[i] = r
	} else {
		d.index.Releases = append(d.index.Releases, r)
	}
	for c, v := range o.Floors {
		if d.index.Floors == nil {
			d.index.Floors = map[string]string{}
		}
		if release.CompareVersions(v, d.index.Floors[c]) < 0 {
			return r, fmt.Errorf("the floor of %s is already %s and never sinks", c, d.index.Floors[c])
		}
		d.index.Floors[c] = v
	}
	d.index.Revoked = append(d.index.Revoked, o.Revoked...)
	return r, nil
}

// prune keeps the newest releases: a client reads and verifies all of a channel at each check.
func (d *channelDraft) prune() []string {
	slices.SortFunc(d.index.Releases, func(a, b release.Release) int { return release.CompareVersions(b.Version, a.Version) })
	var gone []string
	for len(d.index.Releases) > release.MaxReleases {
		last := len(d.index.Releases) - 1
		gone = append(gone, d.index.Releases[last].Version)
		d.index.Releases = d.index.Releases[:last]
	}
	for path := range d.meta.Signed.Targets {
		if parts := strings.Split(path, "/"); len(parts) > 2 && slices.Contains(gone, parts[2]) {
			delete(d.meta.Signed.Targets, path)
		}
	}
	return gone
}

func (d *channelDraft) save() error {
	data, err := d.index.Encode()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(d.indexFile()), 0o755); err != nil {
		return err
	}
	if err := atomicfile.WriteBytes(d.indexFile(), 0o644, data); err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	d.set(release.IndexPath(d.role), int64(len(data)), sum[:], nil)
	return saveDraft(d.stage, d.role, d.meta)
}

// Amend changes the index of a channel without a new release: floors, revocations, rollout, deadlines. The result
// waits in the stage for its signatures. Error kinds: Precond, Integrity.
func Amend(stageDir, repo, role string, now time.Time, edit func(*release.Index) error) (SignStatus, error) {
	d, err := openDraft(BuildOptions{Stage: stageDir, Repo: repo, Role: role, Now: now})
	if err != nil {
		return SignStatus{}, err
	}
	if err := edit(&d.index); err != nil {
		return SignStatus{}, err
	}
	if err := d.save(); err != nil {
		return SignStatus{}, uerr.New(uerr.Precond, "amend channel", role, err, "")
	}
	auth, err := authorities(d.stage, repo)
	if err != nil {
		return SignStatus{}, err
	}
	found, _ := d.stage.find(role)
	return auth.status(found)
}
