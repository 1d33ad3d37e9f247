package paper

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestO4_APrintedPageCanBeScanned lets a real browser draw the page and a real scanner read the code from the picture.
func TestO4_APrintedPageCanBeScanned(t *testing.T) {
	dir := t.TempDir()
	file, picture := filepath.Join(dir, "page.html"), filepath.Join(dir, "page.png")
	sheet := Sheet{Title: "Identity <of> Anna & Söhne", Warning: "Keep it away from others.", Facts: [][2]string{{"Made on", "2026-11-25"}, {"Repository", ""}}, Text: sample, Steps: []string{"Scan it."}}
	var b bytes.Buffer
	if err := sheet.Write(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	html := b.String()
	for _, want := range append(Lines(sample), "Identity &lt;of&gt; Anna &amp; Söhne", `class="blank"`) {
		if !strings.Contains(html, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	for _, bad := range []string{"http://", "https://", "<script", "@import", "url("} {
		if strings.Contains(strings.ReplaceAll(html, `xmlns="http://www.w3.org/2000/svg"`, ""), bad) {
			t.Errorf("the page needs something else: %s", bad)
		}
	}
	browser := exec.CommandContext(t.Context(), "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+filepath.Join(dir, "profile"),
		"--window-size=900,1200", "--screenshot="+picture, "file://"+file)
	if out, err := browser.CombinedOutput(); err != nil {
		t.Fatalf("chromium (apt-get install chromium): %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), "zbarimg", "--quiet", "--raw", picture).Output()
	if err != nil || strings.TrimSpace(string(out)) != sample {
		t.Errorf("zbarimg (apt-get install zbar-tools) read %d bytes, %v", len(out), err)
	}
}
