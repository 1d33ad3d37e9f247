package paths

import (
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
