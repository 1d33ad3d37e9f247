package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

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
