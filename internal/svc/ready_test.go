package svc

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPostgresIsReadyWhenItLetsPeopleIn(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "pg") // a short path: sockets have a limit
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ready := func(state string) bool {
		text := strings.Join([]string{"4711", dir, "1763892000", "5433", dir, "", "  1234  56", state, ""}, "\n")
		if err := os.WriteFile(filepath.Join(dir, "postmaster.pid"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return isReady(t.Context(), "postgres:"+dir)
	}
	if isReady(t.Context(), "postgres:"+dir) || ready("ready   ") {
		t.Error("it is ready without a socket")
	}
	l, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5433"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if ready("starting") || ready("stopping") || !ready("ready   ") {
		t.Error("its own word does not count")
	}
}
