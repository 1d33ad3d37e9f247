package paths

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunStaysWithinTheSocketLimit(t *testing.T) {
	for _, prefix := range []string{"/", "/home/practice", "/" + strings.Repeat("sehr langer Ordner/", 9)} {
		l, err := New(prefix, "main")
		if err != nil {
			t.Fatal(err)
		}
		if n := len(l.Run()); n > maxSocketDir {
			t.Errorf("%s: run folder has %d bytes", prefix, n)
		}
	}
}

func TestInstanceNamesThatWouldEscapeAreRefused(t *testing.T) {
	for _, name := range []string{"", "..", "a/b", "Main", "-x", strings.Repeat("a", 32)} {
		if _, err := New("/", name); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
}

func TestRunFolderThatOthersCouldControlIsRefused(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	l, err := New("/"+strings.Repeat("long/", 30), "main")
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(l.Run()) != tmp {
		t.Fatalf("run folder %s is not in %s", l.Run(), tmp)
	}
	for range 2 { // the second time it is there already
		if err := l.ClaimRun(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(l.Run(), 0o777); err != nil {
		t.Fatal(err)
	}
	if l.ClaimRun() == nil {
		t.Error("a folder that anybody may write was accepted")
	}
	if err := os.Remove(l.Run()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", l.Run()); err != nil {
		t.Fatal(err)
	}
	if l.ClaimRun() == nil {
		t.Error("a link was accepted")
	}
}
