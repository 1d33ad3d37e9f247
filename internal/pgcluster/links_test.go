package pgcluster

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestTheAccountCannotLeadRootOutOfTheDataFolder: the data folder belongs to the database's account, and root configures it.
func TestTheAccountCannotLeadRootOutOfTheDataFolder(t *testing.T) {
	outside, c := t.TempDir(), &Cluster{Data: t.TempDir()}
	private := filepath.Join(outside, "private")
	if err := errors.Join(os.WriteFile(private, []byte("mine"), 0o600), os.Symlink(outside, filepath.Join(c.Data, "conf.d")),
		os.Symlink(private, filepath.Join(c.Data, "postgresql.conf"))); err != nil {
		t.Fatal(err)
	}
	if err := c.write("conf.d/10-practicectl.conf", []byte("x")); err == nil {
		t.Error("wrote through a link")
	}
	if err := c.adopt(); err == nil {
		t.Error("read through a link")
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside: %v, %v", entries, err)
	}
	if info, err := os.Lstat(filepath.Join(c.Data, "postgresql.conf")); err != nil || info.Mode().IsRegular() {
		t.Errorf("postgresql.conf was replaced: %v, %v", info, err)
	}
}
