package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"practicectl/internal/uerr"
)

// AptLine installs a PostgreSQL that fits on Debian and Ubuntu.
const AptLine = "sudo apt-get install -y postgresql"

// The providers of PostgreSQL.
const (
	ProviderSystem  = "system"  // the distribution's or the PostgreSQL project's packages: for production
	ProviderBundled = "bundled" // unpacked with the product: for demo, tests and drills
)

// systemDirs is where packages put PostgreSQL.
var systemDirs = []string{
	"/usr/lib/postgresql/*/bin", // Debian, Ubuntu
	"/usr/pgsql-*/bin",          // Red Hat, SUSE
	"/Library/PostgreSQL/*/bin", // macOS installer
	"/opt/homebrew/opt/postgresql@*/bin",
}

// Find returns the PostgreSQL of a provider. For "system" the newest supported one among the distribution's packages,
// or the one in dir when it is not empty; for "bundled" the one in dir or dir/bin. Error kinds: Precond (none found,
// with the line that installs one), Config (unknown provider).
func Find(ctx context.Context, provider, dir string) (Binaries, error) {
	switch provider {
	case ProviderSystem:
		if dir != "" {
			return probeFolder(ctx, dir)
		}
		return findSystem(ctx, systemDirs, 0)
	case ProviderBundled:
		if dir == "" {
			return Binaries{}, uerr.New(uerr.Precond, "find the bundled PostgreSQL", "", errors.New("no folder given"),
				"install it: practicectl component add postgresql, or use --provider system")
		}
		return probeFolder(ctx, dir)
	}
	return Binaries{}, uerr.New(uerr.Config, "find PostgreSQL of the provider", strconv.Quote(provider), errors.New("unknown provider"),
		"choose system or bundled")
}

// FindFor is Find for a data directory: where a cluster stands already, its major version decides, so that a newer
// PostgreSQL installed beside it changes nothing. Error kinds: those of Find.
func FindFor(ctx context.Context, provider, dir, data string) (Binaries, error) {
	c := Cluster{Data: data}
	if provider != ProviderSystem || dir != "" || !c.Initialized() {
		return Find(ctx, provider, dir)
	}
	major, err := c.DataMajor()
	if err != nil {
		return Binaries{}, err
	}
	return findSystem(ctx, systemDirs, major)
}

// findSystem probes the folders that match patterns; major 0 means the newest.
func findSystem(ctx context.Context, patterns []string, major int) (Binaries, error) {
	var found []Binaries
	var refused []string
	for _, pattern := range patterns {
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			return Binaries{}, uerr.New(uerr.Failed, "look for PostgreSQL in", pattern, err, "")
		}
		for _, dir := range dirs {
			b, err := probe(ctx, dir)
			switch {
			case err != nil:
				refused = append(refused, err.Error())
			case major == 0 || b.Major == major:
				found = append(found, b)
			}
		}
	}
	if len(found) > 0 {
		return slices.MaxFunc(found, func(a, b Binaries) int { return a.Major - b.Major }), nil
	}
	want, line := fmt.Sprintf("%d to %d", MinMajor, MaxMajor), AptLine
	if major != 0 {
		want, line = strconv.Itoa(major), AptLine+"-"+strconv.Itoa(major)
	}
	why := "no PostgreSQL " + want + " is installed"
	if len(refused) > 0 {
		why += " (" + strings.Join(refused, "; ") + ")"
	}
	return Binaries{}, uerr.New(uerr.Precond, "find PostgreSQL", "", errors.New(why), line)
}

// probeFolder probes dir, and dir/bin when that is where the programs are.
func probeFolder(ctx context.Context, dir string) (Binaries, error) {
	bin := filepath.Join(dir, "bin")
	if _, err := os.Stat(filepath.Join(bin, "postgres"+exeSuffix)); err == nil {
		dir = bin
	}
	b, err := probe(ctx, dir)
	if err != nil {
		return b, uerr.New(uerr.Precond, "use PostgreSQL in", dir, err, "give the folder of initdb, pg_ctl and postgres, or install it: "+AptLine)
	}
	return b, nil
}

var versionLine = regexp.MustCompile(`\(PostgreSQL\) (\d+)(\.\d+)?\S*`)

// probe asks the binaries in dir what they are.
func probe(ctx context.Context, dir string) (Binaries, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Binaries{}, err
	}
	b := Binaries{Dir: abs}
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		if info, err := os.Stat(b.tool(name)); err != nil || info.IsDir() {
			return b, fmt.Errorf("%s is missing in %s", name, abs)
		}
	}
	cmd := exec.CommandContext(ctx, b.tool("postgres"), "--version")
	cmd.Env = toolEnv
	out, err := cmd.CombinedOutput()
	if err != nil {
		return b, fmt.Errorf("%s does not run: %s", b.tool("postgres"), lastLines(string(out)+"\n"+err.Error(), 2))
	}
	m := versionLine.FindStringSubmatch(string(out))
	if m == nil {
		return b, fmt.Errorf("%s does not say its version: %s", b.tool("postgres"), lastLines(string(out), 1))
	}
	if b.Major, err = strconv.Atoi(m[1]); err != nil {
		return b, err
	}
	b.Version = m[1] + m[2]
	if b.Major < MinMajor || b.Major > MaxMajor {
		return b, fmt.Errorf("PostgreSQL %s in %s is not supported, want %d to %d", b.Version, abs, MinMajor, MaxMajor)
	}
	return b, nil
}
