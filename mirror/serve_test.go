package mirror

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"practicectl/internal/uerr"
	"practicectl/release"
)

func ask(t *testing.T, method, url string, head map[string]string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range head {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // as it is: no redirects, no decoding
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func TestServeAnswers(t *testing.T) {
	s := newSite(t, "")
	s.sync(t)
	if err := os.WriteFile(filepath.Join(s.dir, "repo", "targets", "secret"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(s.dir, "repo", "targets", "stable", "passwd")); err != nil {
		t.Fatal(err)
	}
	url, _ := s.serve(t, ServeOptions{})
	files, err := filepath.Glob(filepath.Join(s.dir, "repo", "targets", "stable", "server", "1.0.0", "any", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	content := mustRead(t, files[0])
	target := url + "/targets/stable/server/1.0.0/any/" + filepath.Base(files[0])

	resp, body := ask(t, "GET", target, nil)
	etag := resp.Header.Get("ETag")
	if resp.StatusCode != 200 || !bytes.Equal(body, content) || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("target: %s", resp.Status)
	}
	if resp, body = ask(t, "GET", target, map[string]string{"Range": "bytes=10-"}); resp.StatusCode != 206 || !bytes.Equal(body, content[10:]) {
		t.Errorf("range: %s", resp.Status)
	}
	if resp, _ = ask(t, "GET", target, map[string]string{"Range": "bytes=99999999-"}); resp.StatusCode != 416 {
		t.Errorf("range past the end: %s", resp.Status)
	}
	if resp, _ = ask(t, "GET", target, map[string]string{"If-None-Match": etag}); resp.StatusCode != 304 {
		t.Errorf("same target: %s", resp.Status)
	}
	resp, body = ask(t, "GET", url+"/metadata/timestamp.json", nil)
	if resp.StatusCode != 200 || !bytes.Equal(body, mustRead(t, filepath.Join(s.dir, "repo", "metadata", "timestamp.json"))) {
		t.Errorf("timestamp: %s", resp.Status)
	}
	if again, body := ask(t, "GET", url+"/metadata/timestamp.json", map[string]string{"If-None-Match": resp.Header.Get("ETag")}); again.StatusCode != 304 || len(body) != 0 {
		t.Errorf("same timestamp: %s", again.Status)
	}
	if resp, body = ask(t, "HEAD", url+"/metadata/1.root.json", nil); resp.StatusCode != 200 || len(body) != 0 || resp.ContentLength <= 0 {
		t.Errorf("HEAD: %s", resp.Status)
	}
	for _, path := range []string{"/", "/metadata/", "/metadata/2.root.json", "/metadata/../mirror.json", "/metadata/..%2f..%2fmirror.json", "/mirror.json", "/trust/clock.json",
		"/targets/secret", "/targets/stable/passwd", "/targets/stable", "/targets/stable/server/", "/targets/../metadata/timestamp.json", "/targets/stable/..%2f..%2f..%2fmirror.json", "//etc/passwd", "/targets/stable/x\x00"} {
		path = strings.ReplaceAll(path, "\x00", "%00")
		if resp, body := ask(t, "GET", url+path, nil); resp.StatusCode != 404 || len(body) > 100 {
			t.Errorf("%s: %s %q", path, resp.Status, body)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
		if resp, _ := ask(t, method, target, nil); resp.StatusCode != 405 {
			t.Errorf("%s: %s", method, resp.Status)
		}
	}
}

func TestServeSyncsOnSchedule(t *testing.T) {
	s := newSite(t, "")
	url, _ := s.serve(t, ServeOptions{SyncEvery: 20 * time.Millisecond, Sync: s.o})
	c := s.Client(t, url, nil)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		cat, err := c.Refresh(t.Context())
		if err == nil && cat.Index.Latest == "1.0.0" {
			return
		}
		if uerr.KindOf(err) != uerr.Unreachable || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestServeNamesAnAddressThatIsTaken(t *testing.T) {
	s := newSite(t, "")
	url, _ := s.serve(t, ServeOptions{})
	err := Serve(t.Context(), s.dir, ServeOptions{Listen: strings.TrimPrefix(url, "http://")})
	if uerr.KindOf(err) != uerr.Precond || uerr.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if err := Serve(t.Context(), t.TempDir(), ServeOptions{}); uerr.KindOf(err) != uerr.NotFound {
		t.Errorf("no mirror: %v", err)
	}
}

// Readers must never see a mix of old and new, or a gap, while syncs replace the metadata.
func TestReadersDuringSyncsSeeWholeStates(t *testing.T) {
	s := newSite(t, "")
	s.sync(t)
	url, _ := s.serve(t, ServeOptions{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 1; i <= 5; i++ {
			s.Build(t, release.Stable, "1."+string(rune('0'+i))+".0", nil, part(release.Server, "x"))
			s.Sign(t, release.Stable)
			s.Publish(t)
			s.sync(t)
		}
	}()
	for n := 0; ; n++ {
		if _, err := s.Client(t, url, nil).Refresh(t.Context()); err != nil {
			t.Fatalf("refresh %d: %v", n, err)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func BenchmarkServeMetadata(b *testing.B) {
	dir := b.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "metadata"), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "metadata", "timestamp.json"), make([]byte, 1200), 0o644); err != nil {
		b.Fatal(err)
	}
	h, err := newHandler(dir, &meter{}, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer h.root.Close()
	req, err := http.NewRequest("GET", "/metadata/timestamp.json", nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		h.ServeHTTP(discard{http.Header{}}, req)
	}
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

func TestAClientThatTakesNothingIsLeft(t *testing.T) {
	s := newSite(t, "")
	s.sync(t)
	files, err := filepath.Glob(filepath.Join(s.dir, "repo", "targets", "stable", "server", "1.0.0", "any", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	const size = 256 << 20 // more than the system buffers
	if err := os.Truncate(files[0], size); err != nil {
		t.Fatal(err)
	}
	h, err := newHandler(filepath.Join(s.dir, "repo"), &meter{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer h.root.Close()
	h.grace, h.slowest = 200*time.Millisecond, 1<<40
	srv := httptest.NewServer(h)
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /targets/stable/server/1.0.0/any/"+filepath.Base(files[0])+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if n, _ := io.Copy(io.Discard, conn); n >= size { // how the connection ends differs from system to system
		t.Errorf("%d bytes were kept for it", n)
	}
}
