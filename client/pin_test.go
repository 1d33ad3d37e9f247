package client_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"practicectl/client"
	"practicectl/internal/uerr"
)

// fakeServer stands for a practice-server and counts requests and bytes of requests that arrive.
func fakeServer(t *testing.T, status int) (s *httptest.Server, requests *atomic.Int32) {
	t.Helper()
	requests = new(atomic.Int32)
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(status)
	}))
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, requests
}

func TestT2_WrongFingerprintIsRefusedBeforeAnythingIsSent(t *testing.T) {
	s, requests := fakeServer(t, http.StatusOK)
	right := string(client.FingerprintOf(s.Certificate()))
	wrong := strings.Repeat("ab", 32)
	_, err := client.Connect(context.Background(), s.URL, wrong, time.Now)
	if uerr.KindOf(err) != uerr.Auth || uerr.HintOf(err) == "" {
		t.Errorf("kind %v: %v", uerr.KindOf(err), err)
	}
	if requests.Load() != 0 {
		t.Errorf("%d requests were sent", requests.Load())
	}
	for _, form := range []string{right, strings.ToUpper(right), "SHA256:" + right, colons(right)} {
		known, err := client.Connect(context.Background(), s.URL, form, time.Now)
		if err != nil || string(known.Fingerprint) != right || known.URL != s.URL {
			t.Errorf("%q: %+v %v", form, known, err)
		}
	}
	if requests.Load() != 4 {
		t.Errorf("%d requests", requests.Load())
	}
	known, err := client.Connect(context.Background(), s.URL+"/", right, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	// The stored server keeps refusing another certificate.
	other, seen := fakeServer(t, http.StatusOK)
	known.URL, known.Fingerprint = other.URL, client.Fingerprint(wrong)
	c, err := known.HTTP(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := c.Get(other.URL); err == nil {
		_ = resp.Body.Close()
		t.Error("another certificate was taken")
	}
	if seen.Load() != 0 {
		t.Error("a request was sent to another server")
	}
}

func colons(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(strings.ToUpper(s[i : i+2]))
	}
	return b.String()
}

func TestConnectRefuses(t *testing.T) {
	s, _ := fakeServer(t, http.StatusNotFound)
	right := string(client.FingerprintOf(s.Certificate()))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "https://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		url, fingerprint string
		now              time.Time
		kind             uerr.Kind
	}{
		"http":            {strings.Replace(s.URL, "https", "http", 1), right, time.Now(), uerr.Usage},
		"path":            {s.URL + "/x", right, time.Now(), uerr.Usage},
		"user":            {strings.Replace(s.URL, "//", "//u:p@", 1), right, time.Now(), uerr.Usage},
		"short print":     {s.URL, "abcd", time.Now(), uerr.Usage},
		"server down":     {closed, right, time.Now(), uerr.Unreachable},
		"not our product": {s.URL, right, time.Now(), uerr.Precond},
		"expired":         {s.URL, right, time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), uerr.Unreachable},
	} {
		_, err := client.Connect(context.Background(), c.url, c.fingerprint, func() time.Time { return c.now })
		if uerr.KindOf(err) != c.kind || uerr.HintOf(err) == "" {
			t.Errorf("%s: kind %v, want %v: %v", name, uerr.KindOf(err), c.kind, err)
		}
	}
}
