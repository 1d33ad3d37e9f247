package testenv

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"practicectl/release"
	"practicectl/release/archive"
	"practicectl/release/publish"
	"practicectl/release/trust"
)

// Releases is a vendor with keys and a release repository in a temporary folder.
type Releases struct {
	Dir, Stage string
	Ring       publish.Keyring
	Root       []byte    // what the programs of this vendor's customers have built in
	Clock      time.Time // moved by the test
}

// NewReleases holds the key ceremony; nothing is published yet.
func NewReleases(t testing.TB) *Releases {
	t.Helper()
	dir := t.TempDir()
	r := &Releases{Dir: filepath.Join(dir, "repo"), Stage: filepath.Join(dir, "stage"), Clock: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	var err error
	if r.Ring, err = publish.GenerateKeyring(); err != nil {
		t.Fatal(err)
	}
	if _, err = publish.InitCeremony(publish.CeremonyOptions{Stage: r.Stage, Keys: r.Ring.Public(), Now: r.Clock}); err != nil {
		t.Fatal(err)
	}
	r.Sign(t, publish.Root)
	r.Sign(t, publish.Targets)
	if r.Root, err = os.ReadFile(filepath.Join(r.Stage, "metadata", "1.root.json")); err != nil {
		t.Fatal(err)
	}
	return r
}

// Now is the vendor's clock.
func (r *Releases) Now() time.Time { return r.Clock }

// Sign signs the stage's draft of a role with as many keys as it needs.
func (r *Releases) Sign(t testing.TB, role string) {
	t.Helper()
	n := min(2, len(r.Ring[role]))
	st, err := publish.Sign(r.Stage, r.Dir, role, r.Ring[role][:n]...)
	if err != nil || !st.Complete {
		t.Fatalf("sign %s: %v, %+v", role, err, st)
	}
}

// Build packs components as a release of a role into the stage; edit may be nil.
func (r *Releases) Build(t testing.TB, role, version string, edit func(*publish.BuildOptions), parts ...publish.Component) {
	t.Helper()
	o := publish.BuildOptions{Stage: r.Stage, Repo: r.Dir, Role: role, Release: release.Release{Version: version},
		Components: parts, Effort: archive.Fast, Now: r.Clock}
	if edit != nil {
		edit(&o)
	}
	if _, err := publish.Build(t.Context(), o); err != nil {
		t.Fatalf("build %s %s: %v", role, version, err)
	}
}

// Publish publishes what is signed in the stage.
func (r *Releases) Publish(t testing.TB) publish.PublishReport {
	t.Helper()
	rep, err := publish.Publish(t.Context(), publish.PublishOptions{Stage: r.Stage, Repo: r.Dir,
		Snapshot: r.Ring[publish.Snapshot][0], Timestamp: r.Ring[publish.Timestamp][0], Now: r.Clock})
	if err != nil {
		t.Fatalf("publish: %v", err)
	}
	return rep
}

// Release builds, signs and publishes in one go.
func (r *Releases) Release(t testing.TB, role, version string, parts ...publish.Component) {
	t.Helper()
	r.Build(t, role, version, nil, parts...)
	r.Sign(t, role)
	r.Publish(t)
}

// Client opens a client of this vendor on a source (a URL or folder; "" is the repository itself); edit may be nil.
func (r *Releases) Client(t testing.TB, source string, edit func(*trust.Options)) *trust.Client {
	t.Helper()
	if source == "" {
		source = r.Dir
	}
	o := trust.Options{Source: source, Dir: filepath.Join(t.TempDir(), "trust"), Channel: release.Stable, Root: r.Root, Now: r.Now}
	if edit != nil {
		edit(&o)
	}
	c, err := trust.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Part makes a component for every platform from names and contents; names that begin with "bin/" are executable.
func Part(name string, files map[string]string) publish.Component {
	tree := fstest.MapFS{}
	for path, content := range files {
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(path, "bin/") {
			mode = 0o755
		}
		tree[path] = &fstest.MapFile{Data: []byte(content), Mode: mode}
	}
	return publish.Component{Name: name, OS: release.Any, Arch: release.Any, Files: tree}
}
