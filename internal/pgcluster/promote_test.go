package pgcluster_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"practicectl/internal/pgcluster"
)

// promote restarts the cluster as a standby of itself and promotes it, which begins a new timeline.
func promote(t *testing.T, c *pgcluster.Cluster) {
	t.Helper()
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.Data, "standby.signal"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, c, pgcluster.Superuser, "postgres")
	execSQL(t, conn, "SELECT pg_promote(true, 30)")
	for scalar[bool](t, conn, "SELECT pg_is_in_recovery()") {
		time.Sleep(10 * time.Millisecond)
	}
	execSQL(t, conn, "CHECKPOINT")
}
