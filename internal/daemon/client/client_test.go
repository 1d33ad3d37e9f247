package client_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"practicectl/internal/daemon/client"
	"practicectl/internal/daemon/cmdline"
)

func run(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = client.Main(ctx, args, cmdline.Streams{Out: &out, Err: &errs, Getenv: func(string) string { return "" }, Now: time.Now})
	return code, out.String(), errs.String()
}

func TestCommandLine(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		args []string
		code int
		out  string // in stdout
		err  string // in stderr
	}{
		{[]string{"version"}, 0, "practice-client ", ""},
		{[]string{"version", "--json"}, 0, `"program": "practice-client"`, ""},
		{[]string{"-h"}, 0, "connect URL", ""},
		{[]string{"connect", "-h"}, 0, "-fingerprint", ""},
		{[]string{"serve", "--help"}, 0, "-prefix", ""},
		{nil, 64, "", "which command?"},
		{[]string{"conect"}, 64, "", "unknown command"},
		{[]string{"status", "--jsom"}, 64, "", "practice-client status -h"},
		{[]string{"connect"}, 64, "", "want 1"},
		{[]string{"connect", "https://localhost:1"}, 64, "", "--fingerprint is missing"},
		{[]string{"serve", "extra"}, 64, "", "want 0"},
		{[]string{"serve", "--language", "xx"}, 64, "", "none of de, en"},
	} {
		code, out, errs := run(ctx, c.args...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.err) || (code != 0) != strings.Contains(errs, "error:") {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", c.args, code, out, errs)
		}
	}
}

func TestT2_ConnectThenServeThenStatus(t *testing.T) {
	state, prefix := filepath.Join(t.TempDir(), "Zustand Ä"), t.TempDir()
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	srv.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	t.Cleanup(srv.Close)
	sum := sha256.Sum256(srv.Certificate().Raw)

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if code, _, errs := run(ctx, "connect", srv.URL, "--fingerprint", strings.Repeat("0", 64), "--state", state); code != 12 || !strings.Contains(errs, "fix:") {
		t.Errorf("wrong fingerprint: exit %d: %s", code, errs)
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("a refused server was remembered")
	}
	if code, _, errs := run(ctx, "connect", "--state", state, srv.URL, "--fingerprint", hex.EncodeToString(sum[:])); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if st, err := os.Stat(state); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", st, err)
	}

	lines, w := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- client.Main(ctx, []string{"serve", "--state", state, "--prefix", prefix}, cmdline.Streams{Out: w, Err: io.Discard, Getenv: func(string) string { return "" }, Now: time.Now})
	}()
	buf := make([]byte, 200)
	n, err := lines.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSpace(string(buf[:n]))
	resp, err := http.Get(url + "/livez")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	_ = resp.Body.Close()
	code, out, errs := run(ctx, "status", "--json", "--state", state, "--prefix", prefix)
	var rep struct {
		Server  struct{ URL string }
		Daemon  string
		Modules []any
	}
	if err := json.Unmarshal([]byte(out), &rep); err != nil || code != 0 || rep.Server.URL != srv.URL || rep.Daemon != url || len(rep.Modules) != 0 {
		t.Errorf("exit %d, %v: %s%s", code, err, out, errs)
	}
	stop()
	select {
	case code := <-done:
		if code != 0 {
			t.Errorf("exit %d", code)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it did not stop")
	}
	if _, out, _ := run(context.Background(), "status", "--state", state, "--prefix", prefix); !strings.Contains(out, "not running") {
		t.Error(out)
	}
}
