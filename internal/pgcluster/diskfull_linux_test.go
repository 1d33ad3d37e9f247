package pgcluster_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// TestDiskFull runs on a small file system of its own, which only root can mount; without root the messages are covered
// by TestWhatPostgreSQLSaysBecomesAKindAndAHint.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		return
	}
	c := testenv.PGStopped(t, 15)
	small := filepath.Join(filepath.Dir(c.SocketDir), filepath.Base(c.SocketDir)+"-small")
	if err := os.Mkdir(small, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=30m,mode=0777"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(small, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
		_ = os.Remove(small)
	})
	c.Data = filepath.Join(small, "pg")
	err := c.Init(t.Context(), pgcluster.InitOptions{UnsafeNoSync: true})
	if uerr.KindOf(err) != uerr.NoSpace || uerr.HintOf(err) == "" {
		t.Errorf("init: %v (%v)", err, uerr.KindOf(err))
	}
	if entries, err := os.ReadDir(small); err != nil || len(entries) != 0 {
		t.Errorf("something was left behind: %v, %v", entries, err)
	}
	full := filepath.Join(small, "fill")
	if f, err := os.Create(full); err != nil {
		t.Fatal(err)
	} else if _, err := f.Write(make([]byte, 40<<20)); err == nil {
		t.Fatal("the file system is not small")
	}
	if err := pgcluster.UnpackBundle(t.Context(), tarball(t), filepath.Join(small, "bundle")); uerr.KindOf(err) != uerr.NoSpace {
		t.Errorf("unpack: %v", err)
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
}
