//go:build unix

package lockfile

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"practicectl/internal/uerr"
)

// holderVariable makes this test program hold a lock until it is killed.
const holderVariable = "LOCKFILE_TEST_HOLD"

func TestMain(m *testing.M) {
	if path := os.Getenv(holderVariable); path != "" {
		if _, _, err := Acquire(context.Background(), path, "backup run", 0); err != nil {
			os.Exit(1)
		}
		_, _ = os.Stdout.WriteString("held\n")
		select {}
	}
	os.Exit(m.Run())
}

// TestO3_ALockDiesWithItsProcess kills the holder of a lock with signal 9; the file that is left behind means nothing, whatever is in it.
func TestO3_ALockDiesWithItsProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "backup.lock")
	for range 3 { // again over the file that was left
		holder := exec.CommandContext(t.Context(), os.Args[0])
		holder.Env = append(os.Environ(), holderVariable+"="+path)
		out, err := holder.StdoutPipe()
		if err == nil {
			err = holder.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
			t.Fatalf("%q %v", line, err)
		}
		if _, _, err := Acquire(t.Context(), path, "backup run", 0); uerr.KindOf(err) != uerr.Locked || !strings.Contains(err.Error(), "pid ") {
			t.Fatalf("while the holder lives: %v", err)
		}
		if err := holder.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = holder.Wait() // it was killed, which is an error
		if _, err := os.Stat(path); err != nil {
			t.Fatal("no file is left behind, so nothing is proved:", err)
		}
		_, lock, err := Acquire(t.Context(), path, "backup run", 0)
		if err != nil {
			t.Fatalf("after it was killed: %v", err)
		}
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
	}
	for _, stale := range []string{"", "\x00\xff", `{"pid":1,"host":"elsewhere","what":"backup run","started":"2020-01-01T00:00:00Z"}`} {
		if err := os.WriteFile(path, []byte(stale), 0o640); err != nil {
			t.Fatal(err)
		}
		_, lock, err := Acquire(t.Context(), path, "backup run", 0)
		if err != nil {
			t.Fatalf("a file with %q is taken for a lock: %v", stale, err)
		}
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
	}
}
