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
			f := newFront(t)
			s := newSite(t, f.URL)
			f.set(s.Dir, nil)
			s.sync(t)
			s.Release(t, release.Stable, "1.1.0", part(release.Server, "two"))
			before := snapshotOf(t, s.dir)
			f.set(s.Dir, c.lie)
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
			f.set(s.Dir, nil)
			s.o.Free = nil
			if rep := s.sync(t); rep.Latest[release.Stable] != "1.1.0" {
				t.Errorf("afterwards: %+v", rep)
			}
		})
	}
}

// front is an honest source in front of a folder, until the test gives it something else to do.
type front struct {
	*httptest.Server
	mu     sync.Mutex
	dir    string
	lie    func(w http.ResponseWriter, r *http.Request) bool
	ranges []string
}

func newFront(t *testing.T) *front {
	f := &front{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		dir, lie := f.dir, f.lie
		if v := r.Header.Get("Range"); v != "" {
			f.ranges = append(f.ranges, v)
		}
		f.mu.Unlock()
		if lie == nil || !lie(w, r) {
			http.FileServer(http.Dir(dir)).ServeHTTP(w, r)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *front) set(dir string, lie func(w http.ResponseWriter, r *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dir, f.lie = dir, lie
}

func TestSyncThatWasCutOffGoesOn(t *testing.T) {
	f := newFront(t)
	s := newSite(t, f.URL)
	s.Build(t, release.Stable, "1.1.0", nil, part(release.Server, noise(300_000)))
	s.Sign(t, release.Stable)
	s.Publish(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.set(s.Dir, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "server.tar.zst") || !strings.Contains(r.URL.Path, "1.1.0") {
			return false
		}
		w.Header().Set("Content-Length", "300500")
		data := mustRead(t, filepath.Join(s.Dir, filepath.FromSlash(r.URL.Path)))
		_, _ = w.Write(data[:200_000])
		_ = http.NewResponseController(w).Flush()
		time.Sleep(50 * time.Millisecond) // let it arrive
		cancel()                          // the machine is switched off
		<-r.Context().Done()
		return true
	})
	if _, err := Sync(ctx, s.dir, s.o); uerr.KindOf(err) != uerr.Interrupted {
		t.Fatalf("got %v", err)
	}
	if st, err := Inspect(s.dir, s.Clock); err != nil || st.Last != nil || st.Failed != nil {
		t.Errorf("status %+v, %v", st, err)
	}
	f.set(s.Dir, nil)
	s.sync(t)
	if len(f.ranges) != 1 || f.ranges[0] != "bytes=200000-" {
		t.Errorf("asked for ranges %v", f.ranges)
	}
	latest(t, s.Client(t, filepath.Join(s.dir, "repo"), nil))
	if left, err := os.ReadDir(filepath.Join(s.dir, "downloads")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestOlderStateIsRefusedAlthoughTheMemoryIsLost(t *testing.T) {
	s := newSite(t, "")
	old := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(old, os.DirFS(s.Dir)); err != nil {
		t.Fatal(err)
	}
	s.Release(t, release.Stable, "1.1.0", part(release.Server, "two"))
	s.sync(t)
	if err := errors.Join(os.RemoveAll(folder(s.dir).trust()), os.Rename(s.Dir, s.Dir+".new"), os.Rename(old, s.Dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := Sync(t.Context(), s.dir, s.o); uerr.KindOf(err) != uerr.Integrity {
		t.Fatalf("got %v", err)
	}
	if v := latest(t, s.Client(t, filepath.Join(s.dir, "repo"), nil)); v != "1.1.0" {
		t.Error(v)
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

// noise does not compress.
func noise(n int) string {
	var b strings.Builder
	x := uint64(88172645463325252)
	for b.Len() < n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		for shift := 0; shift < 64; shift += 8 {
			b.WriteByte(byte(x >> shift))
		}
	}
	return b.String()
}
