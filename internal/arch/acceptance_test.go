package arch

import (
	"flag"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the last column of docs/acceptance.md from the names of the tests")

const acceptanceFile = root + "/docs/acceptance.md"

// rowsOf holds how many promises each section has. Ids are never reused and none is dropped.
var rowsOf = map[string]int{"T": 27, "P": 24, "A": 20, "M": 19, "F": 12, "O": 15}

var (
	acceptanceRow = regexp.MustCompile(`^\| ([A-Z]\d+) \| (.+) \| (proved|partly|not yet) \| ?(.*?) ?\|$`)
	rowID         = regexp.MustCompile(`\b([TPAMFO]\d{1,2})\b`)
	rowCounts     = regexp.MustCompile(`^Of \d+ promises \d+ are proved, \d+ partly, \d+ not yet\.`)
	testRows      = regexp.MustCompile(`^(?:Test|Fuzz|Benchmark)((?:[TPAMFO]\d{1,2}_)+)`)
)

// proofs maps row ids to the tests whose names carry them, sorted: "`TestO5_X` (backup/restore)".
func proofs(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, f := range readSource(t) {
		if !f.test {
			continue
		}
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil {
				continue
			}
			if m := testRows.FindStringSubmatch(fn.Name.Name); m != nil {
				for id := range strings.SplitSeq(strings.TrimSuffix(m[1], "_"), "_") {
					found[id] = append(found[id], fmt.Sprintf("`%s` (%s)", fn.Name.Name, f.pkg))
				}
			}
		}
	}
	scripts, err := filepath.Glob(root + "/e2e/testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(text), "\n")
		for _, m := range rowID.FindAllString(head, -1) {
			found[m] = append(found[m], fmt.Sprintf("`%s` (e2e)", filepath.Base(script)))
		}
	}
	for id := range found {
		slices.Sort(found[id])
		found[id] = slices.Compact(found[id])
	}
	return found
}

func TestAcceptanceTableIsTrue(t *testing.T) {
	text, err := os.ReadFile(acceptanceFile)
	if err != nil {
		t.Fatal(err)
	}
	tests := proofs(t)
	lines := strings.Split(string(text), "\n")
	seen, count := map[string]bool{}, map[string]int{}
	for i, line := range lines {
		m := acceptanceRow.FindStringSubmatch(line)
		if m == nil {
			if strings.HasPrefix(line, "| ") && rowID.MatchString(strings.SplitN(line, "|", 3)[1]) {
				t.Errorf("docs/acceptance.md:%d: not of the form | id | promise | proved, partly or not yet | tests |", i+1)
			}
			continue
		}
		id, promise, status, listed := m[1], m[2], m[3], m[4]
		if seen[id] {
			t.Errorf("docs/acceptance.md:%d: %s is listed twice", i+1, id)
		}
		seen[id] = true
		want := strings.Join(tests[id], ", ")
		if *update {
			if want != "" && status == "not yet" {
				status = "partly"
			}
			if want == "" {
				status = "not yet"
			}
			count[status]++
			lines[i] = strings.ReplaceAll(fmt.Sprintf("| %s | %s | %s | %s |", id, promise, status, want), "|  |", "| |")
			continue
		}
		count[status]++
		if listed != want {
			t.Errorf("docs/acceptance.md:%d: the tests of %s are %q, the table says %q; run: go test ./internal/arch -run Acceptance -update", i+1, id, want, listed)
		}
		if (status == "not yet") != (want == "") {
			t.Errorf("docs/acceptance.md:%d: %s is %q with tests %q", i+1, id, status, want)
		}
	}
	checkIDs(t, seen, tests)
	numbers := fmt.Sprintf("Of %d promises %d are proved, %d partly, %d not yet.", len(seen), count["proved"], count["partly"], count["not yet"])
	at := slices.IndexFunc(lines, rowCounts.MatchString)
	switch {
	case at < 0:
		t.Errorf("docs/acceptance.md does not say how many promises are proved")
	case *update:
		lines[at] = rowCounts.ReplaceAllString(lines[at], numbers)
	case !strings.HasPrefix(lines[at], numbers):
		t.Errorf("docs/acceptance.md:%d: want %q; run: go test ./internal/arch -run Acceptance -update", at+1, numbers)
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(acceptanceFile, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// checkIDs wants every promise in the table, and no test for a promise that does not exist.
func checkIDs(t *testing.T, seen map[string]bool, tests map[string][]string) {
	t.Helper()
	all := map[string]bool{}
	for section, count := range rowsOf {
		for n := 1; n <= count; n++ {
			all[fmt.Sprintf("%s%d", section, n)] = true
		}
	}
	for id := range all {
		if !seen[id] {
			t.Errorf("docs/acceptance.md does not list %s", id)
		}
	}
	for id := range seen {
		if !all[id] {
			t.Errorf("docs/acceptance.md lists %s, which is no promise", id)
		}
	}
	for id, names := range tests {
		if !all[id] {
			t.Errorf("%s: %s is no row of docs/acceptance.md", strings.Join(names, ", "), id)
		}
	}
}
