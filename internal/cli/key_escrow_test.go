package cli

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"practicectl/internal/sealed"
)

// TestO4_SharesAndPaperGiveTheIdentityBack prints an identity, divides it, and takes it from the typed page, from the shares, and from the
// script that needs only Python. No output and no log shows it.
func TestO4_SharesAndPaperGiveTheIdentityBack(t *testing.T) {
	for _, kind := range []string{"", "--post-quantum"} {
		dir := t.TempDir()
		at := func(name string) string { return filepath.Join(dir, name) }
		call := func(want int, args ...string) string {
			t.Helper()
			s, stdout, stderr := streams()
			args = append(args, "--prefix", at("prefix"), "-vv", "--log-file", at("log"))
			if code := Main(context.Background(), args, s); code != want {
				t.Fatalf("%v: exit %d, want %d: %s", args, code, want, stderr)
			}
			return stdout.String() + stderr.String()
		}
		generate := []string{"key", "generate", "--out", at("id.key"), "--paper", at("page.html")}
		if kind != "" {
			generate = append(generate, kind)
		}
		said := call(0, generate...)
		said += call(0, "key", "escrow", "split", at("id.key"), "--out", at("shares"))
		said += call(12, "key", "escrow", "combine", at("shares/share-1-of-3.txt"))
		said += call(0, "key", "escrow", "combine", at("shares/share-3-of-3.txt"), at("shares/share-1-of-3.txt"), "--out", at("again.key"))
		said += call(14, "key", "escrow", "combine", at("shares/share-3-of-3.txt"), at("shares/share-1-of-3.txt"), "--out", at("again.key"))
		said += call(64, "key", "escrow", "split", at("id.key"), "--out", at("s"), "--threshold", "4")
		secret := lastLine(t, at("id.key"))
		if got := lastLine(t, at("again.key")); got != secret {
			t.Error("the shares gave another identity")
		}
		page, err := os.ReadFile(at("page.html"))
		if err != nil {
			t.Fatal(err)
		}
		typed := strings.Join(regexp.MustCompile(`(?m)\d/\d  .*$`).FindAllString(strings.ReplaceAll(string(page), "<pre>", "\n"), -1), "\n")
		if err := os.WriteFile(at("typed"), []byte(strings.ToLower(typed)), 0o600); err != nil {
			t.Fatal(err)
		}
		ids, err := sealed.LoadIdentities(at("typed"), sealed.Ask{})
		if err != nil {
			t.Fatal(err)
		}
		if id, err := sealed.OneIdentity(ids); err != nil || id.Secret().Reveal() != secret {
			t.Errorf("the page gave another identity: %v", err)
		}
		one, two := lastLine(t, at("shares/share-1-of-3.txt")), lastLine(t, at("shares/share-2-of-3.txt"))
		out, err := exec.Command("python3", "../../docs/formats/combine-by-hand.py", one, two).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != secret {
			t.Errorf("by hand: %d bytes, %v", len(out), err)
		}
		log, _ := os.ReadFile(at("log"))
		for _, canary := range []string{secret, one, two} {
			if strings.Contains(said+string(log), canary[20:50]) {
				t.Error("a secret is shown")
			}
		}
		for _, name := range []string{"id.key", "page.html", "again.key", "shares/share-2-of-3.txt", "shares/share-2-of-3.html"} {
			if st, err := os.Stat(at(name)); err != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func lastLine(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return lines[len(lines)-1]
}
