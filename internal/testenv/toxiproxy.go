package testenv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// Toxiproxy stands between a client and a server on loopback and makes the line slow, short of bandwidth or broken, in ways that
// hold for as long as they are asked for; [FaultProxy] hurts single connections and bytes.
type Toxiproxy struct {
	URL string // what to give to the client instead of the server's endpoint; the scheme is the server's

	t   testing.TB
	api string
}

// Toxic is a way in which the line is bad, in the words of toxiproxy: "latency" with {"latency": ms}, "bandwidth" with {"rate":
// KB/s}, "limit_data" with {"bytes": n}, "reset_peer" and "timeout" with {"timeout": ms}.
type Toxic struct {
	Type       string         `json:"type"`
	Stream     string         `json:"stream"` // "upstream": what goes to the server; "downstream": its answers
	Attributes map[string]int `json:"attributes"`
}

// NewToxiproxy starts a toxiproxy before the server at endpoint and stops it at the end of the test.
func NewToxiproxy(t testing.TB, endpoint string) *Toxiproxy {
	t.Helper()
	api := freeAddr(t)
	_, port, err := net.SplitHostPort(api)
	if err != nil {
		t.Fatal(err)
	}
	startProgram(t, exec.Command(tool(t, "toxiproxy", "test"), "-host", "127.0.0.1", "-port", port), api)
	p := &Toxiproxy{t: t, api: "http://" + api}
	scheme, server, _ := strings.Cut(endpoint, "://")
	var made struct{ Listen string }
	p.call(http.MethodPost, "/proxies", map[string]any{"name": "store", "listen": "127.0.0.1:0", "upstream": server, "enabled": true}, &made)
	p.URL = scheme + "://" + made.Listen
	return p
}

// Poison makes the line bad for open and new connections until Cure.
func (p *Toxiproxy) Poison(toxics ...Toxic) {
	p.t.Helper()
	for _, x := range toxics {
		p.call(http.MethodPost, "/proxies/store/toxics", x, nil)
	}
}

// Down refuses connections and breaks the open ones until Cure.
func (p *Toxiproxy) Down() {
	p.t.Helper()
	p.call(http.MethodPost, "/proxies/store", map[string]any{"enabled": false}, nil)
}

// Cure removes everything that is bad about the line.
func (p *Toxiproxy) Cure() {
	p.t.Helper()
	p.call(http.MethodPost, "/reset", nil, nil)
}

func (p *Toxiproxy) call(method, path string, body, answer any) {
	p.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.api+path, bytes.NewReader(data))
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close() // only read
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	if err == nil && answer != nil {
		err = json.Unmarshal(text, answer)
	}
	if err != nil {
		p.t.Fatalf("toxiproxy %s: %v", path, err)
	}
}
