package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"golang.org/x/sync/errgroup"

	"practicectl/internal/atomicfile"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/archive"
)

// Component is one prebuilt part of a release for one platform.
type Component struct {
	Name     string
	OS, Arch string // release.Any for both: runs everywhere
	Summary  string
	Requires []string
	Files    fs.FS // what is unpacked on a clinic's machine, such as os.DirFS("dist/server")
}

// BuildOptions describe one release. The same release may be built in parts (one platform after another): until it is
// published, each Build adds to the draft in the stage.
type BuildOptions struct {
	Stage, Repo string          // Repo may be empty or not exist yet for the first release
	Role        string          // release.Stable, LTS, Beta or Deps
	Release     release.Release // Date, Kind, Severity and Components are filled in when empty
	Components  []Component
	Floors      map[string]string    // set or raise the oldest versions allowed to run
	Revoked     []release.Revocation // take versions back
	Effort      archive.Effort
	Now         time.Time
	Progress    progress.Reporter
}

// BuildReport says what was put into the stage.
type BuildReport struct {
	Role    string           `json:"role"`
	Version int64            `json:"metadata_version"`
	Release release.Release  `json:"release"`
	Targets []release.Target `json:"targets"`
	Pruned  []string         `json:"pruned,omitempty"` // oldest releases that left the channel
	Draft   SignStatus       `json:"draft"`
}

// Build packs the components and writes the role's next metadata, unsigned, into the stage. A version that is already
// published can only be built again into the same bytes. Error kinds: Precond, Integrity, NoSpace.
func Build(ctx context.Context, o BuildOptions) (BuildReport, error) {
	const op = "build release"
	subject := o.Role + " " + o.Release.Version
	if o.Progress == nil {
		o.Progress = progress.None
	}
	if !slices.Contains(release.Roles(), o.Role) || !release.ValidVersion(o.Release.Version) {
		return BuildReport{}, uerr.New(uerr.Precond, op, subject, errors.New("the channel or the version is not valid"), "practicectl release build --help")
	}
	d, err := openDraft(o)
	if err != nil {
		return BuildReport{}, err
	}
	rep := BuildReport{Role: o.Role, Version: d.meta.Signed.Version}
	if rep.Targets, err = packAll(ctx, o); err != nil {
		return BuildReport{}, err
	}
	for _, t := range rep.Targets {
		if err := d.addTarget(t); err != nil {
			return BuildReport{}, uerr.New(uerr.Precond, op, subject, err, "give the changed build a new version number")
		}
	}
	if rep.Release, err = d.addRelease(o); err != nil {
		return BuildReport{}, uerr.New(uerr.Precond, op, subject, err, "practicectl release build --help")
	}
	rep.Pruned = d.prune()
	if err := d.save(); err != nil {
		return BuildReport{}, uerr.New(uerr.Precond, op, subject, err, "")
	}
	all, err := StageStatus(o.Stage, o.Repo)
	for _, st := range all {
		if st.Role == o.Role {
			rep.Draft = st
		}
	}
	return rep, err
}

// packAll packs the components, as many at a time as there are processors. Each archive is made by one thread, so the
// result does not depend on their number.
func packAll(ctx context.Context, o BuildOptions) ([]release.Target, error) {
	out := make([]release.Target, len(o.Components))
	task := o.Progress.Task("pack "+o.Release.Version, progress.Items, int64(len(o.Components)))
	defer task.Done()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	for i, c := range o.Components {
		g.Go(func() (err error) {
			out[i], err = packOne(ctx, o, c)
			task.Add(1)
			return err
		})
	}
	return out, g.Wait()
}

func packOne(ctx context.Context, o BuildOptions, c Component) (release.Target, error) {
	t := release.Target{
		Path:      release.ArchivePath(o.Role, c.Name, o.Release.Version, c.OS, c.Arch),
		Component: c.Name, Version: o.Release.Version, OS: c.OS, Arch: c.Arch, Kind: release.KindFull, Enc: release.EncTarZst,
	}
	if err := release.CheckPath(t.Path); err != nil || !release.ValidComponent(c.Name) {
		return t, uerr.New(uerr.Precond, "pack component", c.Name, errors.Join(err, errors.New("not a valid component name")), "")
	}
	path := filepath.Join(stage(o.Stage).targets(), filepath.FromSlash(t.Path))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return t, uerr.New(uerr.Precond, "pack component", c.Name, err, "")
	}
	m := archive.Manifest{Name: c.Name, Version: o.Release.Version, OS: c.OS, Arch: c.Arch, Summary: c.Summary, Requires: c.Requires}
	h := sha256.New()
	n := &counter{}
	err := atomicfile.Write(path, 0o644, func(w io.Writer) (err error) {
		m, err = archive.Pack(ctx, io.MultiWriter(w, h, n), m, c.Files, o.Effort)
		return err
	})
	if err != nil {
		return t, err
	}
	head, err := m.Encode()
	sum := sha256.Sum256(head)
	t.Length, t.SHA256, t.Size, t.ContentSHA256 = n.n, hex.EncodeToString(h.Sum(nil)), m.Size(), hex.EncodeToString(sum[:])
	return t, err
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

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
