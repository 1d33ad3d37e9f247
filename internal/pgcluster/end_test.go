package pgcluster_test

import (
	"os"
	"path/filepath"
	"testing"

	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
)

// TestO5_AServerThatWasLeftOnACopyIsEnded: the number in postmaster.pid alone ends nothing, since it may be another process's by now.
func TestO5_AServerThatWasLeftOnACopyIsEnded(t *testing.T) {
	c := testenv.PG(t, 15)
	st, err := c.Status(t.Context())
	if err != nil || st.State != pgcluster.Running {
		t.Fatalf("%+v, %v", st, err)
	}
	pid, err := os.ReadFile(filepath.Join(c.Data, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	if err := pgcluster.EndServer(t.Context(), c.Data); err != nil {
		t.Fatal(err)
	}
	if st, err := c.Status(t.Context()); err != nil || st.State != pgcluster.Stopped {
		t.Errorf("%+v, %v", st, err)
	}
	// A stale file: now it names a process that nobody may end, and a socket on which nobody answers.
	stale := t.TempDir()
	line := append([]byte(nil), pid...)
	if err := os.WriteFile(filepath.Join(stale, "postmaster.pid"), line, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := pgcluster.EndServer(t.Context(), stale); err != nil {
		t.Errorf("a stale file: %v", err)
	}
	if err := pgcluster.EndServer(t.Context(), t.TempDir()); err != nil {
		t.Errorf("no server: %v", err)
	}
}
