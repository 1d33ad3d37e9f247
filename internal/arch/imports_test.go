package arch

import (
	"path"
	"strings"
	"testing"
)

// The layers from the bottom to the top. A package imports only what stands below it, and within its own family.
const (
	leafLayer      = iota // mechanisms without knowledge of the product
	storeLayer            // where bytes go
	machineLayer          // what runs on a machine
	wordsLayer            // the words that products share
	packLayer             // reads what is written in those words, for several products
	productLayer          // products never import each other
	testenvLayer          // stands above the products, imported by tests only
	storyLayer            // the demo's story
	wiringLayer           // connects products to each other and to configuration
	mainLayer             // programs
	unknownLayer   = -1
	familyOfLeaves = "leaves"
)

type place struct {
	dir    string // a folder and everything below it
	layer  int
	family string // packages of one family may import each other; empty: the folder itself
}

// places holds every folder with code. The longest matching folder counts.
var places = []place{
	{"internal/uerr", leafLayer, familyOfLeaves},
	{"internal/secret", leafLayer, familyOfLeaves},
	{"internal/escrow", leafLayer, familyOfLeaves},
	{"internal/paper", leafLayer, familyOfLeaves},
	{"internal/progress", leafLayer, familyOfLeaves},
	{"internal/atomicfile", leafLayer, familyOfLeaves},
	{"internal/lockfile", leafLayer, familyOfLeaves},
	{"internal/paths", leafLayer, familyOfLeaves},
	{"internal/buildinfo", leafLayer, familyOfLeaves},
	{"internal/diskspace", leafLayer, familyOfLeaves},
	{"internal/doctor", leafLayer, familyOfLeaves},
	{"internal/nodeid", leafLayer, familyOfLeaves},

	{"internal/objstore", storeLayer, ""},
	{"internal/sealed", storeLayer, ""},

	{"internal/steps", machineLayer, ""},
	{"internal/pgcluster", machineLayer, ""},
	{"internal/svc", machineLayer, ""},
	{"internal/slots", machineLayer, ""},
	{"internal/notify", machineLayer, ""},
	{"internal/s3gateway", machineLayer, ""},

	{"release", wordsLayer, "release"},
	{"internal/api", wordsLayer, ""},
	{"modules", wordsLayer, ""},
	{"internal/modpack", packLayer, ""},

	{"backup", productLayer, ""},
	{"updater", productLayer, ""},
	{"mirror", productLayer, ""},
	{"installer", productLayer, ""},
	{"release/publish", productLayer, "release"},
	{"server", productLayer, ""},
	{"client", productLayer, ""},
	{"relay", productLayer, ""},
	{"standby", productLayer, ""},
	{"support", productLayer, ""},

	{"internal/testenv", testenvLayer, ""},
	{"demo", storyLayer, ""},

	{"internal/config", wiringLayer, "wiring"},
	{"internal/cli", wiringLayer, "wiring"},
	{"internal/daemon", wiringLayer, "wiring"},

	{"cmd", mainLayer, ""},
	{"e2e", mainLayer, ""},
	{"internal/arch", mainLayer, ""},
}

func placeOf(pkg string) place {
	best := place{layer: unknownLayer}
	for _, p := range places {
		if under(pkg, p.dir) && len(p.dir) > len(best.dir) {
			best = p
		}
	}
	if best.family == "" {
		best.family = best.dir
	}
	return best
}

func TestEveryPackageHasAPlace(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range readSource(t) {
		if seen[f.pkg] {
			continue
		}
		seen[f.pkg] = true
		if placeOf(f.pkg).layer == unknownLayer {
			t.Errorf("%s: this folder is in none of the layers of imports_test.go; put it where it belongs, or add it there with an ADR", f.pkg)
		}
		switch path.Base(f.pkg) {
		case "util", "utils", "common", "helper", "helpers", "misc", "shared":
			t.Errorf("%s: a package is named after what it provides", f.pkg)
		}
	}
}

func TestImportsPointDownwards(t *testing.T) {
	for _, f := range readSource(t) {
		if f.test || forTests(f.pkg) {
			continue // tests may reach for any neighbour
		}
		from := placeOf(f.pkg)
		for _, imported := range f.imports {
			pkg, ours := strings.CutPrefix(imported, modulePath+"/")
			if !ours {
				continue
			}
			if why := forbidden(f.pkg, from, pkg, placeOf(pkg)); why != "" {
				t.Errorf("%s imports %s: %s", f.path, pkg, why)
			}
		}
	}
}

// forTests tells whether a package only helps tests: internal/testenv, and conformance suites and rigs, whose names end
// in "test" like the standard library's httptest.
func forTests(pkg string) bool {
	return under(pkg, "internal/testenv") || strings.HasSuffix(pkg, "test")
}

// forbidden says why a package may not import another one, or "".
func forbidden(fromPkg string, from place, toPkg string, to place) string {
	switch {
	case to.layer == mainLayer:
		return "nothing imports a program"
	case forTests(toPkg):
		return "it is for tests only"
	case under(toPkg, "internal/cli") && !under(fromPkg, "cmd"):
		return "internal/cli is the top of the wiring; only cmd imports it"
	case under(fromPkg, "internal/daemon") && under(toPkg, "internal/daemon") && fromPkg != toPkg && toPkg != "internal/daemon/cmdline":
		return "each program has its own wiring"
	case under(fromPkg, "cmd") && to.layer != wiringLayer && to.layer != leafLayer:
		return "a main only calls its wiring"
	case from.layer == to.layer && from.family == to.family:
		return ""
	case to.layer < from.layer:
		return ""
	case from.layer == productLayer && to.layer == productLayer:
		return "products never import each other: declare a small func or interface in the options and pass it in internal/cli/wire_*.go"
	}
	return "a package imports only what stands below it"
}
