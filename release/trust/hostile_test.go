package trust_test

import (
	"crypto"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"practicectl/internal/testenv"
	"practicectl/release"
	"practicectl/release/publish"
)

// hostile is a mirror that serves a folder, except where the test makes it lie.
type hostile struct {
	URL  string
	dir  string
	mu   sync.Mutex
	lies map[string]http.HandlerFunc // by path, or by "*suffix"
	seen []*http.Request
}

func newHostile(t *testing.T, dir string) *hostile {
	t.Helper()
	h := &hostile{dir: dir, lies: map[string]http.HandlerFunc{}}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	h.URL = srv.URL
	return h
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.seen = append(h.seen, r)
	name := strings.TrimPrefix(r.URL.Path, "/")
	lie := h.lies[name]
	for pattern, fn := range h.lies {
		if suffix, ok := strings.CutPrefix(pattern, "*"); ok && strings.HasSuffix(name, suffix) {
			lie = fn
		}
	}
	h.mu.Unlock()
	if lie != nil {
		lie(w, r)
		return
	}
	h.honest(w, r)
}

func (h *hostile) honest(w http.ResponseWriter, r *http.Request) {
	f, err := os.Open(filepath.Join(h.dir, filepath.FromSlash(strings.TrimPrefix(r.URL.Path, "/"))))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	http.ServeContent(w, r, "", time.Time{}, f)
}

func (h *hostile) lie(name string, fn http.HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lies[name] = fn
}

func (h *hostile) requests() []*http.Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*http.Request(nil), h.seen...)
}

// bytes serves other bytes in place of a file.
func bytes(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// endless never stops sending.
func endless(w http.ResponseWriter, r *http.Request) {
	chunk := make([]byte, 64<<10)
	for r.Context().Err() == nil {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// silent accepts the request and says nothing.
func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// dripping sends a byte now and then, for ever.
func dripping(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write([]byte(" ")); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		time.Sleep(5 * time.Millisecond)
	}
}

func read(t *testing.T, elem ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// big is a component that is not tiny when packed.
func big(name, seed string, n int) publish.Component {
	var b strings.Builder
	sum := sha256.Sum256([]byte(seed))
	for b.Len() < n {
		sum = sha256.Sum256(sum[:])
		fmt.Fprintf(&b, "%x", sum)
	}
	return testenv.Part(name, map[string]string{"bin/" + name: b.String()})
}

// signWith signs as the holder of the keys would, leaving older signatures away.
func signWith[T metadata.Roles](t *testing.T, m *metadata.Metadata[T], keys ...*publish.Key) []byte {
	t.Helper()
	m.ClearSignatures()
	for _, k := range keys {
		s, err := signature.LoadSigner(k.Private(), crypto.Hash(0))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Sign(s); err != nil {
			t.Fatal(err)
		}
	}
	data, err := m.ToBytes(false)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// insider is everybody at the vendor making the same mistake: it edits what is published and signs all of it again,
// with every key. edit may change the channel role, the targets role and the timestamp.
func insider(t *testing.T, r *testenv.Releases, edit func(stable, targets *metadata.TargetsType, ts *metadata.TimestampType)) {
	t.Helper()
	meta := filepath.Join(r.Dir, "metadata")
	ts, err := metadata.Timestamp().FromFile(filepath.Join(meta, "timestamp.json"))
	if err != nil {
		t.Fatal(err)
	}
	snap, err := metadata.Snapshot().FromFile(filepath.Join(meta, fmt.Sprintf("%d.snapshot.json", ts.Signed.Meta["snapshot.json"].Version)))
	if err != nil {
		t.Fatal(err)
	}
	role := func(name string) *metadata.Metadata[metadata.TargetsType] {
		m, err := metadata.Targets().FromFile(filepath.Join(meta, fmt.Sprintf("%d.%s.json", snap.Signed.Meta[name+".json"].Version, name)))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	stable, targets := role(release.Stable), role(publish.Targets)
	edit(&stable.Signed, &targets.Signed, &ts.Signed)
	put := func(name string, version int64, data []byte) *metadata.MetaFiles {
		if err := os.WriteFile(filepath.Join(meta, fmt.Sprintf("%d.%s.json", version, name)), data, 0o644); err != nil {
			t.Fatal(err)
		}
		return metadata.MetaFile(version)
	}
	for name, m := range map[string]*metadata.Metadata[metadata.TargetsType]{release.Stable: stable, publish.Targets: targets} {
		m.Signed.Version++
		snap.Signed.Meta[name+".json"] = put(name, m.Signed.Version, signWith(t, m, r.Ring[name][:2]...))
	}
	snap.Signed.Version++
	ts.Signed.Meta["snapshot.json"] = put("snapshot", snap.Signed.Version, signWith(t, snap, r.Ring[publish.Snapshot][0]))
	ts.Signed.Version++
	if err := os.WriteFile(filepath.Join(meta, "timestamp.json"), signWith(t, ts, r.Ring[publish.Timestamp][0]), 0o644); err != nil {
		t.Fatal(err)
	}
}
