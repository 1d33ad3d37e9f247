package lockfile

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"practicectl/internal/uerr"
)

func TestSecondRunIsRefusedAndToldWhoHoldsTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "backup.lock")
	held, lock, err := Acquire(context.Background(), path, "backup run", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = Acquire(context.Background(), path, "backup run", 0)
	if uerr.KindOf(err) != uerr.Locked || !strings.Contains(err.Error(), "pid ") {
		t.Errorf("second acquire: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if held.Err() == nil {
		t.Error("the lock's context outlived the lock")
	}
	_, again, err := Acquire(context.Background(), path, "backup run", 0)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
}
