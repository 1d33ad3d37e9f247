package cli

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestHelpTextsChangeOnPurposeOnly keeps the help of every command in one file, so that a change of a flag, a default, a
// text or an exit code is seen in review.
func TestHelpTextsChangeOnPurposeOnly(t *testing.T) {
	var all strings.Builder
	walk(tree(), func(_ *cobra.Command, path []string) {
		s, out, errs := streams()
		if code := Main(context.Background(), append(path, "-h"), s); code != 0 {
			t.Fatalf("%v -h: exit %d: %s", path, code, errs)
		}
		own, _, _ := strings.Cut(out.String(), "Flags of every command:")
		all.WriteString("## practicectl " + strings.Join(path, " ") + "\n\n" + strings.TrimSpace(own) + "\n\n")
	})
	got := strings.ReplaceAll(all.String(), demoDir(), "DEMO-DIR") // depends on the account
	golden := filepath.Join("testdata", "help.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the help differs from %s; when that is meant: go test ./internal/cli -run HelpTexts -update\n%s", golden, firstDifference(string(want), got))
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return "- " + w[i] + "\n+ " + g[i]
		}
	}
	return "one ends before the other"
}
