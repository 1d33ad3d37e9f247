package mirror

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"practicectl/internal/lockfile"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/publish"
	"practicectl/release/trust"
)

func part(name, content string) publish.Component {
	return testenv.Part(name, map[string]string{"bin/" + name: content})
}

// site is a vendor, and a clinic's mirror that copies from source.
type site struct {
	*testenv.Releases
	dir string
	o   SyncOptions
}

func newSite(t *testing.T, source string) *site {
	t.Helper()
	s := &site{Releases: testenv.NewReleases(t), dir: filepath.Join(t.TempDir(), "mirror")}
	s.Build(t, release.Stable, "1.0.0", nil, part(release.Server, "one"), part(release.Client, "one"))
	s.Build(t, release.Deps, "18.4.0", nil, part(release.Postgres, "pg"))
	s.Sign(t, release.Stable)
	s.Sign(t, release.Deps)
	s.Publish(t)
	if source == "" {
		source = s.Dir
	}
	s.o = SyncOptions{Root: s.Root, Now: s.Now}
	if err := Init(s.dir, Settings{Source: source}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) sync(t *testing.T) SyncReport {
	t.Helper()
	rep, err := Sync(t.Context(), s.dir, s.o)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// serve runs the mirror until the test ends and returns its address.
func (s *site) serve(t *testing.T, o ServeOptions) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan string, 1), make(chan error, 1)
	o.Listen, o.Now = "127.0.0.1:0", s.Now
	o.Ready = func(u string) { ready <- u }
	go func() { done <- Serve(ctx, s.dir, o) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	select {
	case url = <-ready:
	case err := <-done:
		done <- err
		t.Fatal(err)
	}
	return url, stop
}

func latest(t *testing.T, c *trust.Client) string {
	t.Helper()
	cat, err := c.Refresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{release.Server, release.Postgres} {
		tg, err := cat.Find(name, "", "linux", "amd64")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Fetch(t.Context(), tg, filepath.Join(t.TempDir(), name), nil); err != nil {
			t.Fatal(err)
		}
	}
	return cat.Index.Latest
}

func TestO9_ClientsUpdateFromTheMirrorOnly(t *testing.T) {
	s := newSite(t, "")
	if rep := s.sync(t); rep.Fetched != 3 || rep.Latest[release.Stable] != "1.0.0" || rep.Latest[release.Deps] != "18.4.0" {
		t.Fatalf("first sync %+v", rep)
	}
	url, stop := s.serve(t, ServeOptions{})
	c := s.Client(t, url, nil)
	if v := latest(t, c); v != "1.0.0" {
		t.Fatal(v)
	}
	if rep := s.sync(t); rep.Fetched != 0 || rep.Kept != 3 {
		t.Errorf("second sync %+v", rep)
	}
	s.Clock = s.Clock.Add(time.Hour)
	s.Release(t, release.Stable, "1.1.0", part(release.Server, "two"))
	s.sync(t) // while it serves
	if v := latest(t, c); v != "1.1.0" {
		t.Errorf("the running mirror still gives %s", v)
	}
	stop()
	st, err := Inspect(s.dir, s.Clock)
	if err != nil || st.Files != 7 || st.Served.Targets < 6 || st.Served.Bytes == 0 || st.Expired || st.Last == nil || st.Failed != nil {
		t.Errorf("status %+v, %v", st, err)
	}
	if st, err = Inspect(s.dir, s.Clock.Add(20*24*time.Hour)); err != nil || !st.Expired {
		t.Errorf("after 20 days: %+v, %v", st, err)
	}
	// A mirror of the mirror: the chain does not weaken anything.
	again := &site{Releases: s.Releases, dir: filepath.Join(t.TempDir(), "second"), o: s.o}
	if err := Init(again.dir, Settings{Source: filepath.Join(s.dir, "repo"), Mode: trust.AirGap}); err != nil {
		t.Fatal(err)
	}
	again.sync(t)
	if v := latest(t, s.Client(t, filepath.Join(again.dir, "repo"), nil)); v != "1.1.0" {
		t.Error(v)
	}
}

func TestMirrorKeepsEveryRoot(t *testing.T) {
	s := newSite(t, "")
	for range 2 {
		fresh, err := publish.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := publish.Rotate(publish.Rotation{Stage: s.Stage, Repo: s.Dir, Now: s.Clock, Add: map[string][]publish.PublicKey{publish.Timestamp: {fresh.PublicKey}}}); err != nil {
			t.Fatal(err)
		}
		s.Sign(t, publish.Root)
		s.Publish(t)
	}
	oldest := s.Root
	s.o.Root = mustRead(t, filepath.Join(s.Dir, "metadata", "3.root.json")) // this mirror's program is newer than some clients
	s.sync(t)
	s.Root = oldest
	if v := latest(t, s.Client(t, filepath.Join(s.dir, "repo"), nil)); v != "1.0.0" {
		t.Error(v)
	}
}

// snapshotOf lists everything that clients can see.
func snapshotOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(filepath.Join(dir, "repo"), func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out[name] = string(mustRead(t, name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func mustRead(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestBadSourcePublishesNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		lie  func(w http.ResponseWriter, r *http.Request) bool // true: handled
		free int64
		want uerr.Kind
	}{
		{name: "tampered target", want: uerr.Integrity, lie: func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, ".zst") {
				_, _ = io.WriteString(w, strings.Repeat("x", 500))
				return true
			}
			return false
		}},
		{name: "tampered metadata", want: uerr.Integrity, lie: func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "2.stable.json") {
				_, _ = io.WriteString(w, "{}")
				return true
			}
			return false
		}},
		{name: "unreachable", want: uerr.Unreachable, lie: func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusBadGateway)
			return true
		}},
		{name: "target withheld", want: uerr.Unreachable, lie: func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, ".zst") {
				w.WriteHeader(http.StatusNotFound)
				return true
			}
			return false
		}},
		{name: "disk full", want: uerr.NoSpace, free: 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			var dir atomic.Value
			var lying atomic.Bool
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if lying.Load() && c.lie != nil && c.lie(w, r) {
					return
				}
				http.FileServer(http.Dir(dir.Load().(string))).ServeHTTP(w, r)
			}))
			t.Cleanup(srv.Close)
			s := newSite(t, srv.URL)
			dir.Store(s.Dir)
			s.sync(t)
			s.Release(t, release.Stable, "1.1.0", part(release.Server, "two"))
			before := snapshotOf(t, s.dir)
			lying.Store(true)
			if c.free > 0 {
				s.o.Free = func(string) (int64, error) { return c.free, nil }
			}
			if _, err := Sync(t.Context(), s.dir, s.o); uerr.KindOf(err) != c.want {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			after := snapshotOf(t, s.dir)
			if len(after) != len(before) {
				t.Errorf("%d files before, %d after", len(before), len(after))
			}
			for name, content := range before {
				if after[name] != content {
					t.Errorf("%s has changed", name)
				}
			}
			if st, err := Inspect(s.dir, s.Clock); err != nil || st.Failed == nil || st.Failed.Kind != c.want.String() || st.Last == nil {
				t.Errorf("status %+v, %v", st, err)
			}
			lying.Store(false)
			s.o.Free = nil
			if rep := s.sync(t); rep.Latest[release.Stable] != "1.1.0" {
				t.Errorf("afterwards: %+v", rep)
			}
		})
	}
}

func TestScrubReplacesWhatRots(t *testing.T) {
	s := newSite(t, "")
	s.sync(t)
	files, err := filepath.Glob(filepath.Join(s.dir, "repo", "targets", "stable", "server", "1.0.0", "any", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	data := mustRead(t, files[0])
	data[10] ^= 1
	if err := os.WriteFile(files[0], data, 0o644); err != nil {
		t.Fatal(err)
	}
	s.o.Scrub = true
	if rep := s.sync(t); rep.Fetched != 1 {
		t.Errorf("fetched %d files", rep.Fetched)
	}
	latest(t, s.Client(t, filepath.Join(s.dir, "repo"), nil))
}

func TestSecondSyncIsRefusedWhileOneRuns(t *testing.T) {
	s := newSite(t, "")
	_, other, err := lockfile.Acquire(t.Context(), folder(s.dir).lock(), "mirror sync", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Sync(t.Context(), s.dir, s.o); uerr.KindOf(err) != uerr.Locked {
		t.Errorf("got %v", err)
	}
	if err := other.Release(); err != nil {
		t.Fatal(err)
	}
	s.sync(t)
}

func TestOnlyChosenComponentsAreCopied(t *testing.T) {
	s := newSite(t, "")
	dir := filepath.Join(t.TempDir(), "small")
	if err := Init(dir, Settings{Source: s.Dir, Channels: []string{release.Stable}, Components: []string{release.Server}}); err != nil {
		t.Fatal(err)
	}
	rep, err := Sync(t.Context(), dir, s.o)
	if err != nil || rep.Fetched != 1 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if plan, err := Sync(t.Context(), s.dir, SyncOptions{Root: s.Root, Now: s.Now, Plan: true}); err != nil || plan.Fetched != 3 {
		t.Errorf("plan %+v, %v", plan, err)
	}
	if st, err := Inspect(s.dir, s.Clock); err != nil || st.Last != nil || st.Files != 0 {
		t.Errorf("a plan has changed something: %+v, %v", st, err)
	}
}

func TestInitTwice(t *testing.T) {
	dir := t.TempDir()
	s := Settings{Source: "https://releases.example.com"}
	if err := errors.Join(Init(dir, s), Init(dir, s)); err != nil {
		t.Fatal(err)
	}
	s.Source = "https://elsewhere.example.com"
	if err := Init(dir, s); uerr.KindOf(err) != uerr.Precond {
		t.Errorf("other settings: %v", err)
	}
	if err := Init(t.TempDir(), Settings{}); uerr.KindOf(err) != uerr.Config {
		t.Errorf("no source: %v", err)
	}
	if _, err := Sync(t.Context(), t.TempDir(), SyncOptions{}); uerr.KindOf(err) != uerr.NotFound {
		t.Errorf("no mirror: %v", err)
	}
}
