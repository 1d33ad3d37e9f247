package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
)

// programs are the mains that a release consists of.
var programs = []string{"practicectl", "practice-server", "practice-client", "practice-relay"}

// edition is one release that the demo builds from the source: what differs from it is laid over the source by
// `go build -overlay`, so that neither the product's tree nor its binaries know of the demo.
type edition struct {
	version   string
	notes     string
	migration string // SQL of an extra migration, or ""
	broken    bool   // the readiness check fails for ever
}

// extraMigration is what releases 1.1.0 and later add to the schema; %d is the schema before. It only adds, so servers that
// know the schema before run on it too, and says so: then the way back is a switch of the programs, without a copy.
const extraMigration = `-- compatible-with: %d

-- +goose Up
ALTER TABLE pm.patient ADD COLUMN preferred_name text NOT NULL DEFAULT '';
COMMENT ON COLUMN pm.patient.preferred_name IS 'how the patient wants to be called';

-- +goose Down
ALTER TABLE pm.patient DROP COLUMN preferred_name;
`

// editions are the three releases of the story.
var editions = []edition{
	{version: "1.0.0", notes: "The first release."},
	{version: "1.1.0", notes: "Patients can say what they want to be called: a new field in their record.", migration: extraMigration},
	{version: "1.2.0", notes: "Faster lists. (Broken on purpose: it never becomes ready.)", migration: extraMigration, broken: true},
}

// exe is what the names of programs end in.
var exe = map[bool]string{true: ".exe"}[runtime.GOOS == "windows"]

// workshop builds editions from the product's source.
type workshop struct {
	source string // root of the source tree
	dir    string // where overlays and binaries go
	root   string // file with the trusted root that the binaries embed
}

// findSource checks that dir is the product's source tree and that the Go toolchain is there.
func findSource(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	mod, err := os.ReadFile(filepath.Join(abs, "go.mod"))
	if err == nil && !bytes.HasPrefix(mod, []byte("module practicectl\n")) {
		err = errors.New("go.mod is another module's")
	}
	if err != nil {
		return "", uerr.New(uerr.Precond, "find the source of practicectl in", abs, err, "the demo builds three releases: run it in a clone of the source, or name one with --source DIR")
	}
	if _, err := exec.LookPath("go"); err != nil {
		return "", uerr.New(uerr.Precond, "find the Go toolchain", "", err, "install Go, the version that go.mod names")
	}
	return abs, nil
}

// build makes the programs of e and returns the folder that holds them, each as <component>/bin/<program>.
func (w workshop) build(ctx context.Context, e edition) (string, error) {
	out := filepath.Join(w.dir, "build", e.version)
	raw := filepath.Join(out, "raw")
	if err := os.MkdirAll(raw, 0o755); err != nil {
		return "", err
	}
	if err := w.compile(ctx, e, raw, programs...); err != nil {
		return "", err
	}
	for _, p := range programs { // each becomes a component: <component>/bin/<program>
		dir := filepath.Join(out, strings.TrimPrefix(p, "practice-"), "bin")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		if err := os.Rename(filepath.Join(raw, p+exe), filepath.Join(dir, p+exe)); err != nil {
			return "", err
		}
	}
	return out, os.Remove(raw)
}

// compile makes some programs of e in the folder out. The same source gives the same bytes, wherever it lies.
func (w workshop) compile(ctx context.Context, e edition, out string, programs ...string) error {
	overlay, err := w.overlay(e)
	if err != nil {
		return uerr.New(uerr.Failed, "prepare the build of", e.version, err, "")
	}
	args := []string{"build", "-overlay", overlay, "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid= -X practicectl/internal/buildinfo.version=" + e.version, "-o", out + string(filepath.Separator)}
	for _, p := range programs {
		args = append(args, "./cmd/"+p)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = w.source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return uerr.New(uerr.Failed, "build", e.version, fmt.Errorf("%w\n%s", err, said), "")
	}
	return nil
}

// overlay writes the JSON file for `go build -overlay`.
func (w workshop) overlay(e edition) (string, error) {
	dir := filepath.Join(w.dir, "overlay", e.version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	replace := map[string]string{filepath.Join(w.source, "release", "trust", "root.json"): w.root}
	put := func(name, content, as string) error {
		path := filepath.Join(dir, name)
		replace[as] = path
		return atomicfile.WriteBytes(path, 0o644, []byte(content))
	}
	if e.migration != "" {
		number, err := w.nextMigration()
		if err != nil {
			return "", err
		}
		name := fmt.Sprintf("%05d_preferred_name.sql", number)
		if err := put(name, fmt.Sprintf(e.migration, number-1), filepath.Join(w.source, "server", "store", "migrations", name)); err != nil {
			return "", err
		}
	}
	if e.broken {
		checks := filepath.Join(w.source, "server", "ready", "checks.go")
		text, err := breakReadiness(checks)
		if err != nil {
			return "", err
		}
		if err := put("checks.go", text, checks); err != nil {
			return "", err
		}
	}
	data, err := json.MarshalIndent(map[string]any{"Replace": replace}, "", "  ")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, atomicfile.WriteBytes(path, 0o644, data)
}

var migrationName = regexp.MustCompile(`^(\d{5})_[a-z0-9_]+\.sql$`)

// nextMigration returns the number after the newest migration of the source.
func (w workshop) nextMigration() (int, error) {
	entries, err := os.ReadDir(filepath.Join(w.source, "server", "store", "migrations"))
	if err != nil {
		return 0, err
	}
	var numbers []int
	for _, entry := range entries {
		if m := migrationName.FindStringSubmatch(entry.Name()); m != nil {
			var n int
			if _, err := fmt.Sscanf(m[1], "%d", &n); err != nil {
				return 0, err
			}
			numbers = append(numbers, n)
		}
	}
	if len(numbers) == 0 {
		return 0, errors.New("the source has no migrations")
	}
	return slices.Max(numbers) + 1, nil
}

// breakReadiness returns the source of the readiness checks with one more check, which never passes.
func breakReadiness(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	text := string(data)
	for _, change := range [][2]string{
		{`import "practicectl/server/store"`, "import (\n\t\"context\"\n\t\"errors\"\n\n\t\"practicectl/server/store\"\n)"},
		{"return []Check{\n", "return []Check{\n" + brokenCheck},
	} {
		if strings.Count(text, change[0]) != 1 {
			return "", fmt.Errorf("%s does not have %q once, so the demo cannot break it", path, change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	return text, nil
}

// brokenCheck is the fault of release 1.2.0.
const brokenCheck = `		{"broken-on-purpose", func(context.Context) error { return errors.New("this release never becomes ready") }},
`
