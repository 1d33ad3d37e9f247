package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"practicectl/internal/config"
	"practicectl/internal/lockfile"
	"practicectl/internal/paths"
)

// instanceWith makes the configuration of an instance in a fresh prefix.
func instanceWith(t *testing.T, edit func(*config.File)) paths.Layout {
	t.Helper()
	l, err := paths.New(filepath.Join(t.TempDir(), "Ordination Süd"), "main")
	if err != nil {
		t.Fatal(err)
	}
	f := config.Default()
	if edit != nil {
		edit(&f)
	}
	for _, dir := range []string{l.Etc(), l.Var(), l.Opt()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := config.Save(l.Config(), &f); err != nil {
		t.Fatal(err)
	}
	return l
}

// installFake stages and switches components without any service behind them.
func installFake(t *testing.T, l paths.Layout, version string, names ...string) {
	t.Helper()
	for _, name := range names {
		dir := filepath.Join(l.Component(name), version)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(version, filepath.Join(l.Component(name), "current")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUpdateCommandsRefuseWithTheRightCodeAndANextCommand(t *testing.T) {
	empty := t.TempDir()
	noSource := instanceWith(t, nil)
	installFake(t, noSource, "1.0.0", "practicectl", "client")
	nothing := instanceWith(t, func(f *config.File) { f.Update.Source = "/srv/mirror" })
	away := instanceWith(t, func(f *config.File) { f.Update.Source = "http://127.0.0.1:1" })
	installFake(t, away, "1.0.0", "practicectl", "client")
	for _, c := range []struct {
		prefix string
		args   string
		exit   int
		want   string
	}{
		{empty, "update check", 10, "practicectl install"},
		{noSource.Prefix, "update check", 65, "update.source"},
		{noSource.Prefix, "update apply --cron", 65, "update.source"},
		{nothing.Prefix, "update check", 10, "practicectl install"},
		{nothing.Prefix, "update rollback", 10, "practicectl install"},
		{away.Prefix, "update check", 15, ""},
		{away.Prefix, "update apply -n", 15, ""},
		{away.Prefix, "update rollback", 10, "practicectl update history"},
		{away.Prefix, "update apply 1.1.0", 64, "practicectl update apply --help"},
	} {
		s, out, errs := streams()
		code := Main(context.Background(), append(strings.Fields(c.args), "--prefix", c.prefix), s)
		if code != c.exit || !strings.Contains(errs.String(), c.want) || !strings.Contains(errs.String(), "fix:") || out.Len() != 0 {
			t.Errorf("%s: exit %d, want %d\nstdout %q\nstderr %s", c.args, code, c.exit, out, errs)
		}
	}
}

func TestUpdateHistoryOfAFreshInstallation(t *testing.T) {
	l := instanceWith(t, nil)
	for _, form := range []string{"text", "json"} {
		s, out, errs := streams()
		if code := Main(context.Background(), []string{"update", "history", "--prefix", l.Prefix, "-o", form}, s); code != 0 || errs.Len() != 0 {
			t.Fatalf("exit %d: %s", code, errs)
		}
		var got struct{ Entries []any }
		if form == "text" {
			if out.String() != "No update yet.\n" {
				t.Errorf("got %q", out)
			}
		} else if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Entries == nil || len(got.Entries) != 0 {
			t.Errorf("got %s: %v", out, err)
		}
	}
	journal := filepath.Join(l.Journals(), "update.jsonl")
	if err := os.MkdirAll(l.Journals(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(journal, []byte(`{"seq":7,"prev":"x"}`+"\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _, errs := streams()
	if code := Main(context.Background(), []string{"update", "history", "--prefix", l.Prefix}, s); code != 13 {
		t.Errorf("a damaged history: exit %d, %s", code, errs)
	}
}

func TestNoUpdateWhileABackupOrAnInstallationRuns(t *testing.T) {
	l := instanceWith(t, func(f *config.File) { f.Update.Source = "/srv/mirror" })
	installFake(t, l, "1.0.0", "practicectl", "client")
	for _, job := range []string{"install", "backup"} {
		_, lock, err := lockfile.Acquire(t.Context(), l.Lock(job), job+" run", 0)
		if err != nil {
			t.Fatal(err)
		}
		s, _, errs := streams()
		if code := Main(t.Context(), []string{"update", "apply", "--prefix", l.Prefix}, s); code != 11 || !strings.Contains(errs.String(), job+" run") {
			t.Errorf("%s: exit %d, %s", job, code, errs)
		}
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
	}
}
