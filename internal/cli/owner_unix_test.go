//go:build !windows

package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRootStaysOutOfAnotherAccountsInstance: a backup that root starts by mistake must not leave a lock file behind that
// stops the account's nightly backups. Looking is allowed.
func TestRootStaysOutOfAnotherAccountsInstance(t *testing.T) {
	prefix := t.TempDir()
	file := filepath.Join(prefix, "etc", "practice", "main", "practice.toml")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("schema = 1\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	want := 10 // our own instance has no repository
	if os.Geteuid() == 0 {
		want = 14
		if err := errors.Join(os.Chown(prefix, 65534, 65534), os.Chown(file, 65534, 65534)); err != nil {
			t.Fatal(err)
		}
	}
	s, out, errs := streams()
	if code := Main(context.Background(), []string{"backup", "run", "--cron", "--prefix", prefix}, s); code != want || out.Len() != 0 {
		t.Errorf("exit %d, want %d; stdout %q, stderr %q", code, want, out, errs)
	}
	if want == 14 {
		if !strings.Contains(errs.String(), "runuser -u ") {
			t.Errorf("the command to type is missing: %s", errs)
		}
		if left, err := os.ReadDir(prefix); err != nil || len(left) != 1 {
			t.Errorf("root left something behind: %v, %v", left, err)
		}
	}
	s, _, errs = streams()
	if code := Main(context.Background(), []string{"config", "show", "--prefix", prefix}, s); code != 0 {
		t.Errorf("config show: exit %d, %s", code, errs)
	}
}
