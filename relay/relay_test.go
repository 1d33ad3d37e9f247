package relay_test

import (
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"practicectl/internal/uerr"
	"practicectl/relay"
)

func TestParse(t *testing.T) {
	for text, ok := range map[string]bool{
		"schema = 1":               true,
		"":                         true,
		"listen = \"localhost:0\"": true,
		"listen = \"[::1]:80\"":    true,
		"listen = \"0.0.0.0:80\"":  false, // plain HTTP to everybody
		"listen = \"0.0.0.0:443\"\ntls_cert=\"c\"\ntls_key=\"k\"": true,
		"tls_cert = \"c\"":       false,
		"listen = \"nonsense\"":  false,
		"schema = 2":             false,
		"office = \"192.0.2.1\"": false, // F5: there is no place for an office's address
		"schema = ":              false,
	} {
		if _, err := relay.Parse([]byte(text)); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := relay.Load(filepath.Join(t.TempDir(), "relay.toml")); uerr.KindOf(err) != uerr.NotFound {
		t.Errorf("%v", err)
	}
}

func TestOnlyTheProbeAnswers(t *testing.T) {
	for request, want := range map[string]int{"GET /livez": 200, "GET /": 404, "POST /livez": 405, "GET /requests": 404, "GET /debug/pprof/": 404, "GET /metrics": 404} {
		method, path, _ := strings.Cut(request, " ")
		w := httptest.NewRecorder()
		relay.Handler().ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != want || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d, want %d, %v", request, w.Code, want, w.Header())
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("schema = 1\nlisten = \"127.0.0.1:0\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := relay.Parse(data); err == nil && c.Schema != 1 {
			t.Errorf("%+v", c)
		}
	})
}
