//go:build linux

package installer

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"practicectl/internal/config"
	"practicectl/internal/paths"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/svc"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/publish"
	"practicectl/release/trust"
)

// settings is practice.toml as the wiring of practicectl keeps it, but for what these tests do not need.
type settings struct{ path string }

func (s settings) Match(d Desired) (bool, error) {
	f, err := config.Load(s.path)
	if uerr.KindOf(err) == uerr.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	want := configOf(d)
	return f.Database == want.Database && f.Server == want.Server && slices.Equal(f.Update.Modules, want.Update.Modules), nil
}

func (s settings) Write(d Desired) error {
	f := configOf(d)
	return config.Save(s.path, &f)
}

func configOf(d Desired) config.File {
	f := config.Default()
	f.Update.Modules = d.Modules
	if d.hasServer() {
		f.Database = config.Database{Provider: d.Provider, Bin: d.PGBin, Port: d.PGPort, Name: d.Database}
		f.Server = config.Server{Listen: d.Listen, URL: d.URL}
	}
	return f
}

// clinic is one machine of a test and the releases it gets.
type clinic struct {
	Options
	releases *testenv.Releases
	desired  Desired
}

// script is a program of a test release: it runs this test binary.
func script(t testing.TB, name string) string {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("#!/bin/sh\nexec '%s' %s \"$@\"\n", self, name)
}

func module(name string, requires ...string) publish.Component {
	c := testenv.Part(ModulePrefix+name, map[string]string{"module.toml": "name = \"" + name + "\"\n", "screens.html": strings.Repeat(name, 100)})
	c.Requires = requires
	return c
}

// postgres is the binaries that the tests run, of the npm bundle.
func postgres(t testing.TB, major int) pgcluster.Binaries {
	bin, err := pgcluster.FindForDevelopment(context.Background(), pgcluster.DevelopmentOptions{Cache: testenv.ToolsDir(), Major: major})
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// bundle is a postgresql component whose programs are those of a real bundle.
func bundle(t testing.TB) publish.Component {
	files := map[string]string{}
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		files["bin/"+name] = fmt.Sprintf("#!/bin/sh\nexec '%s' \"$@\"\n", filepath.Join(postgres(t, 18).Dir, name))
	}
	return testenv.Part(release.Postgres, files)
}

func parts(t testing.TB) []publish.Component {
	server := testenv.Part(release.Server, map[string]string{"bin/practice-server": fmt.Sprintf("#!/bin/sh\nexec '%s' \"$@\"\n", os.Getenv(serverVariable))})
	server.Requires = []string{release.Postgres}
	return []publish.Component{server,
		testenv.Part(release.Practicectl, map[string]string{"bin/practicectl": script(t, "practicectl")}),
		testenv.Part(release.Client, map[string]string{"bin/practice-client": script(t, "practice-client")}),
		module("frontdesk", release.Client), module("clinical", release.Client, ModulePrefix+"frontdesk"), module("accounting", release.Client)}
}

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// newClinic is a bare folder, in a path with blanks and umlauts, and a vendor with release 1.0.0.
func newClinic(t testing.TB) *clinic {
	t.Helper()
	r := testenv.NewReleases(t)
	r.Build(t, release.Stable, "1.0.0", nil, parts(t)...)
	r.Build(t, release.Deps, "18.4.0", nil, bundle(t))
	r.Sign(t, release.Stable)
	r.Sign(t, release.Deps)
	r.Publish(t)
	dir, err := os.MkdirTemp("", "k")
	if err != nil {
		t.Fatal(err)
	}
	c := openClinic(t, filepath.Join(dir, "Praxis Müller & Söhne"), r.Dir, r.Root)
	c.releases = r
	t.Cleanup(func() {
		if err := c.Agent.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if err := errors.Join(os.RemoveAll(dir), os.RemoveAll(c.Layout.Run())); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log("journal and logs are gone with", dir)
		}
	})
	port := freePort(t)
	c.desired = Desired{Profile: ProfileServer, Provider: pgcluster.ProviderSystem, PGBin: postgres(t, 18).Dir, PGPort: 5499, Database: "practice",
		Listen: fmt.Sprintf("127.0.0.1:%d", port), URL: fmt.Sprintf("https://localhost:%d", port), Source: r.Dir, Channel: release.Stable, Mode: "lan",
		Practice: Practice{Name: "Praxis Müller", Language: "de", Timezone: "Europe/Vienna", Currency: "EUR"}}
	return c
}

// openClinic is everything an installer needs; also the victim process of a crash test makes it.
func openClinic(t fataler, prefix, source string, root []byte) *clinic {
	l, err := paths.New(prefix, "main")
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }
	tc, err := trust.Open(trust.Options{Source: source, Dir: l.Trust(), Channel: release.Stable, Mode: "lan", Root: root, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	agent := svc.NewAgent(l.AgentSocket())
	return &clinic{Options: Options{Layout: l, Source: tc, Settings: settings{l.Config()}, Services: agent,
		Agent: svc.DetachedAgent{Client: agent, Args: []string{"--prefix", l.Prefix, "--instance", l.Instance, "agent", "run"},
			Log: filepath.Join(l.Log(), "agent.log"), Lock: l.Lock("agent")},
		OS: runtime.GOOS, Arch: runtime.GOARCH, Hostname: "server-1.lan", EUID: os.Geteuid(), RootHint: "runuser", Now: time.Now, Progress: progress.None, unsafeNoSync: true}}
}

type fataler interface{ Fatal(args ...any) }

func (c *clinic) install(t testing.TB) Report {
	t.Helper()
	rep, err := New(c.Options).Install(context.Background(), c.desired, "")
	if err != nil {
		c.logs(t)
		t.Fatal(err)
	}
	return rep
}

// logs shows what the programs said.
func (c *clinic) logs(t testing.TB) {
	for _, name := range []string{"agent.log", "server.log", "database.log"} {
		if data, err := os.ReadFile(filepath.Join(c.Layout.Log(), name)); err == nil {
			t.Logf("%s:\n%s", name, data)
		}
	}
}

// tree lists what lies under the prefix and when it was written, but for logs, journals, downloads and the cluster's own
// files.
func (c *clinic) tree(t testing.TB) string {
	t.Helper()
	return c.list(t, func(data []byte, info fs.FileInfo) string { return fmt.Sprint(len(data), info.ModTime().UnixNano()) })
}

// contents is tree with the content instead of the time.
func (c *clinic) contents(t testing.TB) string {
	t.Helper()
	return c.list(t, func(data []byte, _ fs.FileInfo) string { return fmt.Sprintf("%.20q %x", data, sha256.Sum256(data)) })
}

func (c *clinic) list(t testing.TB, describe func([]byte, fs.FileInfo) string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(c.Layout.Prefix, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		for _, skip := range []string{c.Layout.Log(), c.Layout.Journals(), c.Layout.Downloads(), c.Layout.Trust(), c.Layout.PGData(), c.Layout.Run(), filepath.Join(c.Layout.Var(), "agent")} {
			if path == skip {
				return fs.SkipDir
			}
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content := ""
		if d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = describe(data, info)
		}
		rel, err := filepath.Rel(c.Layout.Prefix, path)
		fmt.Fprintln(&b, info.Mode(), rel, content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func clone(d Desired) Desired {
	var c Desired
	data, err := json.Marshal(d)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		panic(err)
	}
	return c
}
