package relay_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"practicectl/internal/daemon/cmdline"
	"practicectl/internal/daemon/relay"
)

func run(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = relay.Main(context.Background(), args, cmdline.Streams{Out: &out, Err: &errs, Getenv: func(string) string { return "" }, Now: time.Now})
	return code, out.String(), errs.String()
}

func TestCommandLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "relay.toml")
	if err := os.WriteFile(file, []byte("schema = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := file + "2"
	if err := os.WriteFile(bad, []byte("listn = \"x\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args     []string
		code     int
		out, err string
	}{
		{[]string{"version", "--json"}, 0, `"program": "practice-relay"`, ""},
		{[]string{"serve", "-h"}, 0, "-config", ""},
		{[]string{"config", "--config", file}, 0, `"listen": "127.0.0.1:8095"`, ""},
		{[]string{"config", "--config", bad}, 65, "", "line 1: unknown key listn"},
		{[]string{"serve", "--config", file + "-no"}, 10, "", "--config FILE"},
	} {
		code, out, errs := run(c.args...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.err) {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", c.args, code, out, errs)
		}
	}
}

func TestServeAnswersAndStops(t *testing.T) {
	file := filepath.Join(t.TempDir(), "relay.toml")
	if err := os.WriteFile(file, []byte("listen = \"127.0.0.1:0\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	lines, w := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- relay.Main(ctx, []string{"serve", "--config", file}, cmdline.Streams{Out: w, Err: io.Discard, Now: time.Now})
	}()
	buf := make([]byte, 200)
	n, err := lines.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSpace(string(buf[:n]))
	resp, err := http.Get(url + "/livez")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", resp, err)
	}
	_ = resp.Body.Close()

	taken := file + "-taken"
	if err := os.WriteFile(taken, []byte("listen = \""+strings.TrimPrefix(url, "http://")+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := run("serve", "--config", taken); code != 14 || !strings.Contains(errs, "fix:") {
		t.Errorf("a taken port: exit %d: %s", code, errs)
	}
	stop()
	if code := <-done; code != 0 {
		t.Errorf("exit %d", code)
	}
	if c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
		_ = c.Close()
		t.Error("the port still answers")
	}
}

// The relay stands on the internet: it must not even contain what could reach an office, a database or a store.
func TestF5_RelayLinksNothingItDoesNotNeed(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "practicectl/cmd/practice-relay").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, banned := range []string{"pgx", "minio", "cobra", "go-tuf", "filippo.io/age", "sqlite", "practicectl/server", "practicectl/backup", "practicectl/client"} {
		for dep := range strings.Lines(string(out)) {
			if strings.Contains(dep, banned) {
				t.Errorf("it links %s", strings.TrimSpace(dep))
			}
		}
	}
}
