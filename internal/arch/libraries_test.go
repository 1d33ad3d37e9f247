package arch

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// homes says where a library may be imported by code that is not a test. A library that is not listed may be used
// anywhere; docs/dependencies.md lists them all.
var homes = map[string][]string{
	"github.com/spf13/cobra":                            {"internal/cli"},
	"github.com/spf13/pflag":                            {"internal/cli"},
	"github.com/schollz/progressbar/v3":                 {"internal/cli"},
	"github.com/minio/minio-go/v7":                      {"internal/objstore/s3", "internal/s3gateway", "internal/testenv"},
	"filippo.io/age":                                    {"internal/sealed", "backup", "release/publish", "internal/cli"},
	"github.com/inconshreveable/go-update":              {"updater"},
	"github.com/theupdateframework/go-tuf/v2":           {"release/trust", "release/publish"},
	"github.com/sigstore/sigstore":                      {"release/trust", "release/publish"},
	"github.com/secure-systems-lab/go-securesystemslib": {"release/trust", "release/publish"},
	"github.com/jackc/pgx/v5":                           {"internal/pgcluster", "backup", "server", "standby", "demo", "internal/testenv"},
	"github.com/pressly/goose/v3":                       {"server/store"},
	"github.com/pelletier/go-toml/v2":                   {"internal/config", "internal/daemon", "relay", "client", "internal/modpack", "internal/cli"},
	"github.com/gofrs/flock":                            {"internal/lockfile", "internal/objstore/dir"},
	"modernc.org/sqlite":                                {"relay", "client"},
	"github.com/PlakarKorp/go-cdc-chunkers":             {"backup"},
	"github.com/zeebo/blake3":                           {"backup"},
	"rsc.io/qr":                                         {"internal/paper"},
	"github.com/chromedp/chromedp":                      {"internal/testenv"},
	"github.com/chromedp/cdproto":                       {"internal/testenv"},
	"github.com/hanwen/go-fuse/v2":                      {"internal/testenv"},
	"github.com/emersion/go-smtp":                       {},
	"github.com/emersion/go-sasl":                       {},
	"github.com/rogpeppe/go-internal":                   {},
	"github.com/google/go-cmp":                          {},
	"pgregory.net/rapid":                                {},
}

func TestLibrariesStayAtHome(t *testing.T) {
	for _, f := range readSource(t) {
		if f.test {
			continue
		}
		for _, imported := range f.imports {
			for library, dirs := range homes {
				if !under(imported, library) {
					continue
				}
				if !slices.ContainsFunc(dirs, func(dir string) bool { return under(f.pkg, dir) }) {
					t.Errorf("%s imports %s, which belongs in %s", f.path, imported, orTests(dirs))
				}
			}
		}
	}
}

func orTests(dirs []string) string {
	if len(dirs) == 0 {
		return "tests only"
	}
	return strings.Join(dirs, ", ")
}

func TestGoUpdateIsFencedInOneFile(t *testing.T) {
	var users []string
	for _, f := range readSource(t) {
		if slices.Contains(f.imports, "github.com/inconshreveable/go-update") {
			users = append(users, f.path)
		}
	}
	if len(users) > 1 {
		t.Errorf("go-update is unmaintained and stays in one file; it is imported by %s", strings.Join(users, ", "))
	}
}

// TestRelayLinksOnlyWhatItNeeds: the relay stands on the internet. What it does not link cannot be attacked there.
func TestRelayLinksOnlyWhatItNeeds(t *testing.T) {
	if _, err := os.Stat(root + "/cmd/practice-relay"); err != nil {
		t.Fatal(err)
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/practice-relay")
	list.Dir = root
	out, err := list.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	unwanted := []string{
		"github.com/jackc/pgx/v5", "github.com/minio/minio-go/v7", "github.com/theupdateframework/go-tuf/v2", "github.com/inconshreveable/go-update",
		"github.com/pressly/goose/v3", "github.com/spf13/cobra", "github.com/schollz/progressbar/v3", "github.com/chromedp/chromedp",
		modulePath + "/backup", modulePath + "/server", modulePath + "/internal/pgcluster", modulePath + "/internal/objstore", modulePath + "/internal/cli",
	}
	for pkg := range strings.FieldsSeq(string(out)) {
		for _, bad := range unwanted {
			if under(pkg, bad) {
				t.Errorf("cmd/practice-relay links %s", pkg)
			}
		}
	}
}

var requireLine = regexp.MustCompile(`(?m)^\s*(?:require )?([a-z0-9.]+\.[a-z]+/\S+) (v\S+)`)

// TestDependenciesAreDocumented compares the imports with go.mod and docs/dependencies.md: each library that is
// imported has a row with its version and the reason why it is there, and no row outlives its library.
func TestDependenciesAreDocumented(t *testing.T) {
	mod, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(root + "/docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, m := range requireLine.FindAllStringSubmatch(string(mod), -1) {
		versions[m[1]] = m[2]
	}
	used := map[string]string{} // module to the first file that imports it
	for _, f := range readSource(t) {
		for _, imported := range f.imports {
			if module := moduleOf(imported, versions); module != "" && used[module] == "" {
				used[module] = f.path
			}
		}
	}
	for module, user := range used {
		if row := "| `" + module + "` | " + versions[module] + " |"; !strings.Contains(string(document), row) {
			t.Errorf("docs/dependencies.md has no row starting with %q (imported by %s)", row, user)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| v").FindAllStringSubmatch(string(document), -1) {
		if used[m[1]] == "" && strings.Contains(string(mod), m[1]+" ") {
			t.Errorf("docs/dependencies.md lists %s, which nothing imports", m[1])
		}
	}
}

// moduleOf returns the longest module of go.mod that holds a package.
func moduleOf(pkg string, modules map[string]string) string {
	best := ""
	for module := range modules {
		if under(pkg, module) && len(module) > len(best) {
			best = module
		}
	}
	return best
}
