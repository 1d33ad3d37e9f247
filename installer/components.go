package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"practicectl/internal/nodeid"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/archive"
)

// finder turns a desired state into exact components. The source is asked only for what is not on the disk.
type finder struct {
	i       *Installer
	d       Desired
	version string // of the product
}

// components returns what d needs, in the order of installation. A component that is installed stays as it is:
// bringing it to another version is the updater's work.
func (i *Installer) components(ctx context.Context, d Desired) ([]Package, error) {
	f := &finder{i: i, d: d}
	var err error
	if f.version, err = f.productVersion(ctx); err != nil {
		return nil, err
	}
	return Resolve(d.wanted(), func(name string) (Package, error) { return f.lookup(ctx, name) })
}

// productVersion is the version that all of our components have here: the installed one, else the one that the channel
// offers to this machine.
func (f *finder) productVersion(ctx context.Context) (string, error) {
	for _, name := range release.Components() {
		if name == release.Postgres {
			continue
		}
		v, err := f.i.slots(name).Current()
		if err == nil && f.d.Version != "" && f.d.Version != v {
			return "", uerr.New(uerr.Precond, "install version", f.d.Version, fmt.Errorf("%s %s is installed", name, v), "practicectl update apply --to "+f.d.Version)
		}
		if err == nil || uerr.KindOf(err) != uerr.NotFound {
			return v, err
		}
	}
	cat, err := f.i.catalog(ctx)
	if err != nil {
		return "", err
	}
	leading := release.Client
	if f.d.hasServer() {
		leading = release.Server
	}
	id, err := nodeid.Read(nodeid.Path(f.i.o.Layout))
	if err != nil {
		return "", cannot("read", nodeid.Path(f.i.o.Layout), err)
	}
	c, err := cat.Index.Choose(release.Host{ID: id, Component: leading, Want: f.d.Version, Now: cat.Now})
	switch {
	case errors.Is(err, release.ErrCurrent):
		return "", uerr.New(uerr.NotFound, "find a release of", leading, fmt.Errorf("channel %s offers none", cat.Index.Channel), "choose another one with --channel")
	case err != nil:
		return "", uerr.New(uerr.NotFound, "install", leading, err, "see what there is: practicectl component list --from "+f.d.Source)
	}
	return c.Release.Version, nil
}

// lookup describes one component: from the disk when it is there, else from the verified archive.
func (f *finder) lookup(ctx context.Context, name string) (Package, error) {
	if name == release.Postgres && f.d.Provider == pgcluster.ProviderSystem {
		b, err := pgcluster.FindFor(ctx, pgcluster.ProviderSystem, f.d.PGBin, f.i.o.Layout.PGData())
		return Package{Name: name, Version: b.Version}, err
	}
	s := f.i.slots(name)
	version, err := s.Current()
	if err == nil {
		m, err := archive.ReadManifest(s.Path(version))
		return Package{Name: name, Version: version, Requires: m.Requires}, err
	}
	if uerr.KindOf(err) != uerr.NotFound {
		return Package{}, err
	}
	t, err := f.target(ctx, name, "")
	if err != nil {
		return Package{}, err
	}
	m, err := f.head(ctx, t)
	return Package{Name: name, Version: t.Version, Requires: m.Requires}, err
}

// target finds a component in the catalog. An empty version means the product's, or the newest of what is not ours.
func (f *finder) target(ctx context.Context, name, version string) (release.Target, error) {
	cat, err := f.i.catalog(ctx)
	if err != nil {
		return release.Target{}, err
	}
	if version == "" && name != release.Postgres {
		version = f.version
	}
	return cat.Find(name, version, f.i.o.OS, f.i.o.Arch)
}

// head reads what a verified archive says about itself.
func (f *finder) head(ctx context.Context, t release.Target) (archive.Manifest, error) {
	file, err := f.i.fetch(ctx, t)
	if err != nil {
		return archive.Manifest{}, err
	}
	r, err := os.Open(file)
	if err != nil {
		return archive.Manifest{}, cannot("open", file, err)
	}
	defer r.Close()
	m, err := archive.ReadHead(r)
	if err == nil && (m.Name != t.Component || m.Version != t.Version) {
		err = uerr.New(uerr.Integrity, "read", t.Path, fmt.Errorf("it is %s %s", m.Name, m.Version), "this release is faulty: choose another one with --version")
	}
	return m, err
}

// fetch brings an archive into the download folder, verified.
func (i *Installer) fetch(ctx context.Context, t release.Target) (string, error) {
	if file, ok := i.fetched[t.SHA256]; ok {
		return file, nil
	}
	file := filepath.Join(i.o.Layout.Downloads(), t.SHA256+".tar.zst")
	task := i.o.Progress.Task("fetch "+t.Component+" "+t.Version, progress.Bytes, t.Length)
	defer task.Done()
	if err := i.o.Source.Fetch(ctx, t, file, task); err != nil {
		return "", err
	}
	i.fetched[t.SHA256] = file
	return file, nil
}

// program returns the path of a program of an installed component, through the name that stays when the version changes.
func (i *Installer) program(component, name string) (string, error) {
	s := i.slots(component)
	version, err := s.Current()
	if err != nil {
		return "", err
	}
	return programIn(s.Path(version), s.CurrentPath(), name)
}

// programIn finds the executable name in the manifest of dir and returns its path below base.
func programIn(dir, base, name string) (string, error) {
	m, err := archive.ReadManifest(dir)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(m.Files, func(e archive.File) bool {
		return strings.TrimSuffix(filepath.Base(e.Path), ".exe") == name && e.Mode == "0755"
	})
	if i < 0 {
		return "", uerr.New(uerr.Integrity, "find the program "+name+" in", dir, errors.New("this component has none"), "practicectl component verify")
	}
	return filepath.Join(base, filepath.FromSlash(m.Files[i].Path)), nil
}
