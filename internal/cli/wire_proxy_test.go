package cli

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// TestTheStoreIsReachedThroughTheProxy: a practice that reaches the internet through a proxy only can back up offsite.
func TestTheStoreIsReachedThroughTheProxy(t *testing.T) {
	var asked atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.URL.Host) // only a proxy is asked for a whole address
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer proxy.Close()
	credentials := filepath.Join(t.TempDir(), "s3.toml")
	if err := os.WriteFile(credentials, []byte("access_key_id = \"a\"\nsecret_access_key = \"b\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _, errs := streams()
	s.Getenv = func(name string) string { return map[string]string{"http_proxy": proxy.URL}[name] }
	code := Main(context.Background(), []string{"backup", "list", "--prefix", t.TempDir(), "--store", "s3://bucket/practice", "--endpoint", "http://s3.example.invalid",
		"--credentials-file", credentials, "--timeout", "20s"}, s)
	if asked.Load() != "s3.example.invalid" || code != 12 {
		t.Errorf("the proxy was asked for %v; exit %d, %s", asked.Load(), code, errs)
	}
}
