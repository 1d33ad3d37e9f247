package notify

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

// switchServer is a dead-man switch that notes what it hears and fails as often as it is told.
type switchServer struct {
	*httptest.Server
	mu    sync.Mutex
	heard []string
	fail  int
}

func newSwitch(t *testing.T) *switchServer {
	s := &switchServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.heard = append(s.heard, r.Method+" "+r.URL.RequestURI()+" "+string(body))
		if s.fail > 0 {
			s.fail--
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *switchServer) ping(path string) Ping {
	return Ping{URL: secret.New(s.URL + path), Client: s.Client(), Pause: time.Millisecond}
}

func TestO3_ThePingsTellBeginningAndEnd(t *testing.T) {
	s := newSwitch(t)
	p := s.ping("/canary-uuid/practice-{job}?x=1")
	e := Event{Job: "verify", Run: "verify-00000007", Exit: 13, Error: "something is damaged", Took: 2500 * time.Millisecond}
	if !p.For("verify") {
		t.Error("every job pings a URL with {job} in it")
	}
	if err := p.Start(t.Context(), "verify", "rid-1"); err != nil {
		t.Fatal(err)
	}
	if err := p.End(t.Context(), e, "rid-1", []string{"line one", "line two"}); err != nil {
		t.Fatal(err)
	}
	e.Skipped, e.Exit = true, 11
	if err := p.End(t.Context(), e, "rid-2", []string{strings.Repeat("x", 50_000) + "end"}); err != nil {
		t.Fatal(err)
	}
	if len(s.heard) != 3 {
		t.Fatal(s.heard)
	}
	for i, want := range []string{"POST /canary-uuid/practice-verify/start?rid=rid-1&x=1 ",
		"POST /canary-uuid/practice-verify/13?rid=rid-1&x=1 job verify, run verify-00000007, exit 13 after 2.5 s\nsomething is damaged\nline one\nline two",
		"POST /canary-uuid/practice-verify/log?rid=rid-2&x=1 job verify"} {
		if !strings.HasPrefix(s.heard[i], want) {
			t.Errorf("got %q, want %q", s.heard[i], want)
		}
	}
	if n := len(s.heard[2]); n > maxBody+200 || !strings.HasSuffix(s.heard[2], "end") {
		t.Errorf("%d bytes were sent", n)
	}
	if one := s.ping("/u"); one.For("verify") || !one.For("backup") || (Ping{}).For("backup") {
		t.Error("one URL is the backup's")
	}
}

func TestO3_APingIsTriedAFewTimesAndNeverShowsItsURL(t *testing.T) {
	s := newSwitch(t)
	p := s.ping("/canary-uuid")
	s.fail = 2
	if err := p.Start(t.Context(), "backup", "r"); err != nil || len(s.heard) != 3 {
		t.Fatalf("%d tries: %v", len(s.heard), err)
	}
	s.fail = 100
	err := p.Start(t.Context(), "backup", "r")
	if uerr.KindOf(err) != uerr.Unreachable || len(s.heard) != 6 {
		t.Errorf("%d tries: %v", len(s.heard)-3, err)
	}
	s.Close()
	for name, err := range map[string]error{"answers 503": err, "is away": p.Start(t.Context(), "backup", "r"),
		"no URL": Ping{URL: secret.New("canary-uuid")}.Start(t.Context(), "backup", "r")} {
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	hang := Ping{URL: secret.New(silent.URL), Client: silent.Client(), Tries: 1, Within: 50 * time.Millisecond}
	if err := hang.Start(t.Context(), "backup", "r"); uerr.KindOf(err) != uerr.Unreachable {
		t.Errorf("a silent switch: %v", err)
	}
}
