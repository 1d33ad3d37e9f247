package client_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"practicectl/client"
	"practicectl/internal/modpack"
)

func handler(t *testing.T, modules []modpack.Module, refused []modpack.Refused, err error) http.Handler {
	t.Helper()
	h, herr := client.NewHost(client.HostOptions{Addr: "127.0.0.1:4711", Language: "de", Log: slog.New(slog.DiscardHandler),
		Server:  &client.Server{URL: "https://server:8443"},
		Modules: func() ([]modpack.Module, []modpack.Refused, error) { return modules, refused, err }})
	if herr != nil {
		t.Fatal(herr)
	}
	return h
}

func ask(h http.Handler, method, host, path string) (*http.Response, string) {
	r := httptest.NewRequest(method, path, nil)
	r.Host = host
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body)
	return w.Result(), string(body)
}

var frontdesk = modpack.Module{Name: "frontdesk", Version: "1.0.0", Title: modpack.Text{"de": "Empfang <b>", "en": "Front desk"}, Summary: modpack.Text{"de": "x", "en": "x"},
	Nav: []modpack.Nav{{Path: "/patients", Title: modpack.Text{"de": "Klienten", "en": "Patients"}}}}

func TestOnlyItsOwnNameIsAnswered(t *testing.T) {
	h := handler(t, nil, nil, nil)
	for host, want := range map[string]int{"127.0.0.1:4711": 200, "localhost:4711": 200, "127.0.0.1": 421, "127.0.0.1:80": 421, "evil.example:4711": 421, "": 421, "127.0.0.1:4711.evil.example": 421, "[::1]:4711": 421} {
		for _, path := range []string{"/", "/livez", "/api/modules"} {
			if resp, _ := ask(h, http.MethodGet, host, path); resp.StatusCode != want {
				t.Errorf("%q %s: %d, want %d", host, path, resp.StatusCode, want)
			}
		}
	}
}

func TestEveryAnswerHasTheSecurityHeaders(t *testing.T) {
	h := handler(t, []modpack.Module{frontdesk}, nil, nil)
	for _, c := range []struct {
		method, path string
		status       int
	}{{"GET", "/", 200}, {"GET", "/livez", 200}, {"GET", "/m/frontdesk", 200}, {"GET", "/m/accounting", 404}, {"GET", "/style.css", 200}, {"GET", "/etc/passwd", 404}, {"POST", "/", 405}, {"DELETE", "/api/modules", 405}} {
		resp, _ := ask(h, c.method, "localhost:4711", c.path)
		if resp.StatusCode != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, resp.StatusCode, c.status)
		}
		for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy"} {
			if resp.Header.Get(name) == "" {
				t.Errorf("%s %s: no %s", c.method, c.path, name)
			}
		}
	}
}

func TestT18_PageShowsOnlyInstalledModules(t *testing.T) {
	h := handler(t, []modpack.Module{frontdesk}, []modpack.Refused{{Name: "clinical", Err: errors.New("changed")}}, nil)
	resp, body := ask(h, "GET", "127.0.0.1:4711", "/")
	for _, want := range []string{`lang="de"`, "Empfang &lt;b&gt;", `href="https://server:8443/patients"`, "clinical"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	if strings.Contains(body, "accounting") || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%s\n%s", resp.Header, body)
	}
	if _, body := ask(h, "GET", "127.0.0.1:4711", "/api/modules"); !strings.Contains(body, `"name":"frontdesk"`) || !strings.Contains(body, `"refused":["clinical"]`) {
		t.Error(body)
	}
	if resp, body := ask(handler(t, nil, nil, errors.New("/secret/path")), "GET", "127.0.0.1:4711", "/"); resp.StatusCode != 500 || strings.Contains(body, "secret") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}
