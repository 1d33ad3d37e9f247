package demo

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/secret"
	"practicectl/release"
	"practicectl/release/archive"
	"practicectl/release/publish"
)

// VendorOptions say where a vendor works.
type VendorOptions struct {
	Source   string              // root of the product's source tree
	Dir      string              // everything of the vendor goes below
	Postgres *pgcluster.Binaries // published as the component postgresql; nil: no bundle
	Now      func() time.Time
}

// Vendor is a vendor with keys and a release repository, all on one machine.
type Vendor struct {
	Repo     string            // the release repository
	Keys     string            // sealed keys of all roles; a real vendor keeps them apart and offline
	Root     string            // file with the trusted root that the programs embed
	Programs map[string]string // folder of the built programs by version
	Latest   string
}

// keyWork is the scrypt work factor of the demo's key files: they protect nothing, so opening them may be quick.
const keyWork = 10

// MakeVendor holds the key ceremony, builds the three editions, signs and publishes them.
func MakeVendor(ctx context.Context, o VendorOptions, r progress.Reporter) (*Vendor, error) {
	source, err := findSource(o.Source)
	if err != nil {
		return nil, err
	}
	v := &Vendor{Repo: filepath.Join(o.Dir, "repository"), Keys: filepath.Join(o.Dir, "keys"), Root: filepath.Join(o.Dir, "root.json"), Programs: map[string]string{}}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil { // the clinic's account reads the repository
		return nil, err
	}
	stage := filepath.Join(o.Dir, "stage")
	ring, err := v.ceremony(stage, o.Now())
	if err != nil {
		return nil, err
	}
	w := workshop{source: source, dir: o.Dir, root: v.Root}
	task := r.Task("build and publish releases", progress.Items, int64(len(editions)))
	defer task.Done()
	if o.Postgres != nil {
		if err := v.publishPostgres(ctx, stage, ring, *o.Postgres, o.Now()); err != nil {
			return nil, err
		}
	}
	schema, err := w.nextMigration()
	if err != nil {
		return nil, err
	}
	for _, e := range editions {
		bin, err := w.build(ctx, e)
		if err != nil {
			return nil, err
		}
		v.Programs[e.version], v.Latest = bin, e.version
		db := release.DB{SchemaFrom: 1, SchemaTo: schema - 1, BackwardCompatible: true}
		if e.migration != "" {
			db.SchemaTo = schema
		}
		components, err := w.components(bin)
		if err != nil {
			return nil, err
		}
		build := publish.BuildOptions{Stage: stage, Repo: v.Repo, Role: release.Stable, Effort: archive.Fast, Now: o.Now(), Components: components,
			Release: release.Release{Version: e.version, Notes: e.notes, DB: db, Severity: release.Feature}}
		if err := v.publish(ctx, build, ring); err != nil {
			return nil, err
		}
		task.Add(1)
	}
	return v, nil
}

// ceremony makes the keys of all roles and the signed root.
func (v *Vendor) ceremony(stage string, now time.Time) (publish.Keyring, error) {
	ring, err := publish.GenerateKeyring()
	if err != nil {
		return nil, err
	}
	if err := ring.Save(v.Keys, secret.New("demo"), keyWork); err != nil {
		return nil, err
	}
	if _, err := publish.InitCeremony(publish.CeremonyOptions{Stage: stage, Keys: ring.Public(), Now: now}); err != nil {
		return nil, err
	}
	for _, role := range []string{publish.Root, publish.Targets} {
		if _, err := publish.Sign(stage, v.Repo, role, ring[role][:2]...); err != nil {
			return nil, err
		}
	}
	root, err := os.ReadFile(filepath.Join(stage, "metadata", "1.root.json"))
	if err != nil {
		return nil, err
	}
	return ring, atomicfile.WriteBytes(v.Root, 0o644, root)
}

func (v *Vendor) publishPostgres(ctx context.Context, stage string, ring publish.Keyring, b pgcluster.Binaries, now time.Time) error {
	version := b.Version
	return v.publish(ctx, publish.BuildOptions{Stage: stage, Repo: v.Repo, Role: release.Deps, Effort: archive.Fast, Now: now,
		Release:    release.Release{Version: version + ".0", Notes: "PostgreSQL " + version + " for demonstrations and tests.", Severity: release.Feature},
		Components: []publish.Component{component(release.Postgres, runtime.GOOS, runtime.GOARCH, filepath.Dir(b.Dir))}}, ring)
}

// publish builds one release, lets two managers sign it and moves the repository on.
func (v *Vendor) publish(ctx context.Context, o publish.BuildOptions, ring publish.Keyring) error {
	if _, err := publish.Build(ctx, o); err != nil {
		return err
	}
	if _, err := publish.Sign(o.Stage, o.Repo, o.Role, ring[o.Role][:2]...); err != nil {
		return err
	}
	_, err := publish.Publish(ctx, publish.PublishOptions{Stage: o.Stage, Repo: o.Repo, Now: o.Now,
		Snapshot: ring[publish.Snapshot][0], Timestamp: ring[publish.Timestamp][0]})
	return err
}

// component describes the files of dir.
func component(name, goos, goarch, dir string) publish.Component {
	summary, requires := publish.Describe(name)
	return publish.Component{Name: name, OS: goos, Arch: goarch, Summary: summary, Requires: requires, Files: os.DirFS(dir)}
}

// components lists the parts of the product: each program in a folder of its own, and the module packs of the source.
func (w workshop) components(bin string) ([]publish.Component, error) {
	var out []publish.Component
	for _, program := range programs {
		name := strings.TrimPrefix(program, "practice-")
		out = append(out, component(name, runtime.GOOS, runtime.GOARCH, filepath.Join(bin, name)))
	}
	modules := filepath.Join(w.source, "modules")
	entries, err := os.ReadDir(modules)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, component("module-"+e.Name(), release.Any, release.Any, filepath.Join(modules, e.Name())))
		}
	}
	return out, nil
}
