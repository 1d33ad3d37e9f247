package dir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"practicectl/internal/objstore"
	"practicectl/internal/objstore/storetest"
)

// The suite on a file system without hard links, as FAT on a USB disk.
func TestConformanceWithoutHardLinks(t *testing.T) {
	storetest.Run(t, func(t *testing.T) objstore.Store {
		st, err := Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s := st.(*store)
		s.link = func(from, to string) error { return &os.LinkError{Op: "link", Old: from, New: to, Err: errNoLinks} }
		if !noHardLinks(s.link("a", "b")) {
			t.Fatal("the test's error is not one that the store knows")
		}
		return s
	})
}

func TestOpenRemovesOldRemains(t *testing.T) {
	path := t.TempDir()
	temp := filepath.Join(path, tempDir)
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	old, fresh := filepath.Join(temp, tempMark+"OLD"), filepath.Join(temp, tempMark+"NEW")
	for _, f := range []string{old, fresh} {
		if err := os.WriteFile(f, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-2 * maxPutTime)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Error("the old remains are still there")
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Error("what another process may be writing is gone")
	}
}
