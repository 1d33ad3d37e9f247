package browser

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"practicectl/backup/drill"
	"practicectl/backup/proof"
	"practicectl/backup/repo"
	"practicectl/server/invariant"
)

// drilled is a chain of three drills of a large practice; the last one ended as verdict.
func drilled(verdict drill.Verdict) drill.Chain {
	c := drill.Chain{Host: "praxis-lindenhof-main", Signer: "1d4dcb13b18fcbe2", Own: true}
	for n := 1; n <= 3; n++ {
		at := time.Date(2026, 11, 1+7*n, 5, 30, 0, 0, time.UTC)
		e := &drill.Evidence{
			EvidenceLink: repo.EvidenceLink{Host: c.Host, Number: n, Repository: strings.Repeat("3f", 16), Previous: strings.Repeat("9c", 32), Key: make(repo.PublicKey, 32)},
			Verdict:      drill.Passed, Began: at, Ended: at.Add(5 * time.Minute), Program: "1.2.0", Machine: "linux/amd64", PostgreSQL: "18.4", Store: "s3 https://s3.example.org/clinic/main", Seed: 1 << 63, Removed: true,
			RTO: drill.Objective{Seconds: 258, Limit: 72 * 3600, Known: true}, RPO: drill.Objective{Seconds: 4 * 3600, Limit: 24 * 3600, Known: true},
			Snapshot:  &drill.Restored{Key: "s/praxis-lindenhof-main/20261122T013012Z-" + strings.Repeat("5b", 16), ID: strings.Repeat("5b", 16), Host: c.Host, Chosen: "newest", Created: at, Files: 2214, Bytes: 18 << 30, LockedUntil: at},
			Point:     &drill.Point{Asked: "the end of the snapshot", LSN: "4C/81A02F60"},
			Databases: []proof.Database{{Name: "postgres"}, {Name: "practice", Bytes: 18 << 30, Tables: 34}},
		}
		for i, name := range []string{"open", "lay", "recover", "answer", "check"} {
			e.Phases = append(e.Phases, drill.Phase{Name: name, Says: "one of the parts of the work: " + name, Seconds: float64(1 + 40*i)})
		}
		for _, promise := range invariant.All() {
			e.Checks = append(e.Checks, proof.Result{Name: promise.Name, Says: promise.Says, At: promise.At, Looked: 1204118})
		}
		for _, name := range []string{"signature", "alone", "b-trees", "gin", "tables", "visibility", "references", "checksums"} {
			e.Checks = append(e.Checks, proof.Result{Name: name, Says: "every row of every table can be read, with what is stored beside it", At: "tables", Looked: 1204118})
		}
		c.Pieces = append(c.Pieces, drill.Piece{Key: repo.EvidenceKey(c.Host, n), SHA256: strings.Repeat("e7", 32), Evidence: e})
	}
	last := c.Pieces[2].Evidence
	if last.Verdict = verdict; verdict == drill.Failed {
		for i := range last.Checks {
			last.Checks[i].Findings = []string{"practice.pm.session_note_patient: block 4711, item 12: heap tuple from table lacks matching index tuple within index"}
			last.Checks[i].More = 1000
		}
		last.Problem = &drill.Problem{Step: "check", Error: "it does not hold", Next: "practicectl drill run --random"}
	}
	return c
}

var pdfPage = regexp.MustCompile(`/Type\s*/Page\b[^s]`)

// TestT27_ADrillsReportIsOneAccessiblePage looks at the report as people do: on screens, in the dark, and on paper.
func TestT27_ADrillsReportIsOneAccessiblePage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := browse(t, "file://"+dir)
	for _, verdict := range []drill.Verdict{drill.Passed, drill.Failed} {
		c := drilled(verdict)
		var text bytes.Buffer
		if err := drill.WriteReport(&text, c, c.Pieces[2], drill.Facts{Practice: "Gemeinschaftspraxis am Lindenhof", Now: c.Pieces[2].Evidence.Ended}); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("drill-%s", verdict)
		if err := os.WriteFile(filepath.Join(dir, name+".html"), text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		w.goTo("/" + name + ".html")
		for _, size := range [][2]int64{{1366, 768}, {768, 1024}, {390, 844}} {
			w.size(size[0], size[1])
			w.fits(fmt.Sprintf("%s at %dx%d", name, size[0], size[1]))
			w.picture(fmt.Sprintf("%s-%d", name, size[0]))
		}
		w.size(1366, 768)
		w.accessible(name)
		w.dark(true)
		w.examine(name+" in the dark", `["color-contrast"]`)
		w.picture(name + "-dark")
		w.dark(false)
		for paper, inches := range map[string][2]float64{"A4": {8.27, 11.69}, "letter": {8.5, 11}} {
			if n := w.pages(inches[0], inches[1]); n != 1 {
				t.Errorf("%s prints on %d pages of %s", name, n, paper)
			}
		}
	}
	w.calm()
}

// pages prints the page and counts the sheets.
func (w *window) pages(width, height float64) int {
	w.t.Helper()
	out, err := chromedp.Call(w.ctx, page.PrintToPDF, page.PrintToPDFParams{PaperWidth: width, PaperHeight: height, PrintBackground: new(true)})
	if err != nil {
		w.t.Fatal(err)
	}
	return len(pdfPage.FindAll(out.Data, -1))
}
