package s3gateway_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"practicectl/internal/s3gateway"
	"practicectl/internal/secret"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

func TestStartAnswersAndStopFreesThePort(t *testing.T) {
	ctx := context.Background()
	binary, err := s3gateway.Find(ctx, testenv.ToolsDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "S3 für die Demo")
	o := s3gateway.Options{Binary: binary, Dir: dir, AccessKey: secret.New("access"), SecretKey: secret.New("canary-secret")}
	g, err := s3gateway.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	cmdline, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(g.PID), "cmdline"))
	if err != nil || strings.Contains(string(cmdline), "canary") {
		t.Errorf("the command line shows the secret, or is not there: %v", err)
	}
	for range 2 {
		if err := g.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", strings.TrimPrefix(g.Endpoint, "http://"))
	if err != nil {
		t.Fatalf("the port is still taken: %v", err)
	}
	t.Cleanup(func() { _ = l.Close() })
	o.Port = l.Addr().(*net.TCPAddr).Port
	if _, err := s3gateway.Start(ctx, o); uerr.KindOf(err) != uerr.Precond {
		t.Errorf("a taken port: %v", err)
	}
}

func TestFindSaysWhatToType(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // the build must not really begin
	_, err := s3gateway.Find(ctx, t.TempDir(), nil)
	if uerr.KindOf(err) != uerr.Precond || !strings.Contains(uerr.HintOf(err), "go install "+s3gateway.Module) {
		t.Errorf("%v, hint %q", err, uerr.HintOf(err))
	}
}
