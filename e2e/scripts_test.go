package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// headline is the first line of a script: the acceptance rows that it proves, and its promise. A script about the command
// line itself, for which there is no row, begins with "# CLI: ".
var headline = regexp.MustCompile(`^# (CLI|([TPAMFO]\d{1,2} ?)+): .{20,}`)

// TestScripts runs every script in testdata, two at a time on two cores.
func TestScripts(t *testing.T) {
	b, err := readBench(os.Getenv(benchVariable))
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts: %v", len(scripts), err)
	}
	for _, s := range scripts {
		text, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		if first, _, _ := strings.Cut(string(text), "\n"); !headline.MatchString(first) {
			t.Errorf("%s: the first line names no acceptance row and promise: %q", s, first)
		}
	}
	var mu sync.Mutex
	ran := map[string]bool{}
	t.Run("all", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir: "testdata", WorkdirRoot: b.work(), RequireExplicitExec: true, RequireUniqueNames: true, Cmds: commands(b),
			Deadline: time.Now().Add(8 * time.Minute),
			Setup: func(e *testscript.Env) error {
				mu.Lock()
				ran[filepath.Base(e.WorkDir)] = true
				mu.Unlock()
				return setUp(b, e)
			},
		})
	})
	if filter := os.Args; !filtered(filter) && len(ran) != len(scripts) {
		t.Errorf("%d of %d scripts ran", len(ran), len(scripts))
	}
}

// filtered reports whether the command line chose some of the scripts only.
func filtered(args []string) bool {
	for _, a := range args {
		if v, ok := strings.CutPrefix(a, "-test.run="); ok && v != "" && v != "." {
			return true
		}
	}
	return false
}

// setUp gives a script its environment: no variable of the user's, the programs of 1.0.0 in front, and a folder with a
// blank and an umlaut as the installation.
func setUp(b *bench, e *testscript.Env) error {
	home := filepath.Join(e.WorkDir, "home")
	for key, value := range map[string]string{
		"PATH": b.bin() + ":/usr/bin:/bin:/usr/sbin:/sbin", "HOME": home, "LANG": "C.UTF-8", "TZ": "Europe/Vienna",
		"PRACTICE_PREFIX": filepath.Join(e.WorkDir, "Praxis Süd"), "BENCH": b.Dir, "VENDOR": b.Vendor.Repo, "PG18": b.Bundle.Dir, "PG15": b.System.Dir,
		"DISKS": filepath.Join(b.Dir, "disks"),
	} {
		e.Setenv(key, value)
	}
	e.Defer(func() {
		endAll(e)
		if os.Getenv("E2E_KEEP") == "" {
			// Failing to remove it is told by the first stage, which removes everything.
			_ = os.RemoveAll(e.WorkDir)
		}
	})
	return os.MkdirAll(home, 0o755)
}
