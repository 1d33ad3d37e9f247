package drill_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"practicectl/backup/drill"
	"practicectl/backup/proof"
	"practicectl/backup/repo"
	"practicectl/internal/uerr"
)

// sample is a chain of evidence as a practice has it after some months; the last piece is what the report is about.
func sample(t *testing.T, change func(e *drill.Evidence)) (drill.Chain, drill.Piece) {
	t.Helper()
	key, err := repo.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Date(2026, 11, 22, 5, 30, 12, 0, time.UTC)
	c := drill.Chain{Host: "praxis-lindenhof-main", Signer: drill.Fingerprint(repo.PublicOf(key)), Own: true}
	for n := 1; n <= 12; n++ {
		at := began.AddDate(0, 0, 7*(n-12))
		e := &drill.Evidence{
			EvidenceLink: repo.EvidenceLink{Format: 1, Repository: strings.Repeat("3fa9", 8), Host: c.Host, Number: n, Previous: strings.Repeat("9c41", 16), Key: repo.PublicOf(key)},
			Verdict:      drill.Passed, Began: at, Ended: at.Add(261 * time.Second), Program: "1.2.0", Machine: "linux/amd64", PostgreSQL: "18.4", Store: "s3 https://s3.example.org/clinic/main",
			Seed: 1234567890123456789, Removed: true, Newest: at.Add(-4 * time.Hour), RTO: drill.Objective{Seconds: 258, Limit: 72 * 3600, Known: true}, RPO: drill.Objective{Seconds: 4 * 3600, Limit: 24 * 3600, Known: true},
			Snapshot: &drill.Restored{Key: "s/praxis-lindenhof-main/20261122T013012Z-" + strings.Repeat("5b", 16), ID: strings.Repeat("5b", 16), Host: "praxis-lindenhof-main", Chosen: "newest", Created: at.Add(-4 * time.Hour),
				Files: 2214, Bytes: 18_400_000_000, LockedUntil: at.AddDate(0, 0, 70), Database: &repo.DatabaseFacts{System: 7, Major: 18}},
			Point:     &drill.Point{Asked: "the end of the snapshot", Reached: at.Add(-4 * time.Hour), LSN: "4C/81A02F60"},
			Transfer:  drill.Transfer{Requests: 512, Bytes: 6_100_000_000, Seconds: 171},
			Phases:    []drill.Phase{{Name: "open", Says: "open the repository, choose a snapshot, read its trees", Seconds: 1.2}, {Name: "lay", Says: "fetch, decrypt, prove and write every file", Seconds: 174}, {Name: "recover", Says: "start PostgreSQL and replay the log", Seconds: 6.1}, {Name: "answer", Says: "answer the first queries", Seconds: .2}, {Name: "check", Says: "check everything", Seconds: 76}},
			Databases: []proof.Database{{Name: "postgres", Bytes: 7_800_000}, {Name: "practice", Bytes: 18_100_000_000, Tables: 34}, {Name: "template1", Bytes: 7_800_000}},
		}
		for _, r := range []struct {
			says, name, at string
			n              int64
		}{{"every page and every file is what the snapshot was signed for", "signature", "files", 2214}, {"the copy archives nothing, follows nobody and cannot be reached from the network", "alone", "settings", 14},
			{"the practice's tables are there", "schema", "schema versions", 1}, {"row security is forced on every table of patients", "row-security", "tables", 34}, {"no role that works for people passes row security by", "roles", "roles", 7},
			{"every constraint holds, every trigger is on, every index is complete", "constraints", "constraints", 214}, {"the log of who did what only grows, and nobody can change it", "log-entries", "entries", 1_204_118},
			{"every session has its patient", "sessions", "sessions", 48211}, {"every note is that of its session's patient, with all its versions", "notes", "notes", 46002}, {"every version of a note is what was written: its text has its SHA-256", "note-versions", "versions", 91003},
			{"every document is what was stored: all its bytes, and their SHA-256", "documents", "documents", 8121}, {"invoice numbers are without gap and without double", "invoice-numbers", "invoices", 21990},
			{"the charges of every invoice add up to its total, and are its patient's", "charges", "charges", 48003}, {"every payment belongs to an invoice of its patient", "payments", "payments", 20412},
			{"every B-tree is in order and holds an entry for every row", "b-trees", "indexes", 612}, {"every inverted index is in order", "gin", "indexes", 3}, {"every row of every table can be read, with what is stored beside it", "tables", "tables", 402},
			{"the visibility map says of no row what is not so", "visibility", "tables", 402}, {"every reference leads to a row", "references", "foreign keys", 71}, {"every page has the checksum that it was written with", "checksums", "pages", 2_210_114}} {
			e.Checks = append(e.Checks, proof.Result{Name: r.name, Says: r.says, At: r.at, Looked: r.n})
		}
		c.Pieces = append(c.Pieces, drill.Piece{Key: repo.EvidenceKey(c.Host, n), SHA256: strings.Repeat("e7", 32), Evidence: e})
	}
	last := c.Pieces[len(c.Pieces)-1]
	if change != nil {
		change(last.Evidence)
	}
	return c, last
}

// fails makes a piece of evidence of a drill that failed as badly as a page can show.
func fails(e *drill.Evidence) {
	for i := range e.Checks {
		if i%3 == 1 {
			for range 20 {
				e.Checks[i].Findings = append(e.Checks[i].Findings, "practice.pm.session_patient: block 4711, item 12: tuple data should begin at byte 24 <script>alert(1)</script>")
			}
			e.Checks[i].More = 1000
		}
	}
	e.Checks[15].Skipped = "this PostgreSQL does not have it"
	e.Verdict = drill.Failed
	e.Problem = &drill.Problem{Step: "check", Kind: "integrity", Error: "the drill failed", Next: "see all: practicectl drill report; then try another snapshot: practicectl drill run --random"}
}

func page(t *testing.T, change func(e *drill.Evidence)) string {
	t.Helper()
	c, p := sample(t, change)
	var out bytes.Buffer
	if err := drill.WriteReport(&out, c, p, drill.Facts{Practice: "Praxis Lindenhof", Now: p.Evidence.Ended}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestT27_TheReportSaysWhatTheEvidenceHolds(t *testing.T) {
	for name, c := range map[string]struct {
		change func(e *drill.Evidence)
		want   []string
		lacks  []string
	}{
		"passed": {nil, []string{"Restore drill 12", "passed", "Praxis Lindenhof", "(A) Data backup plan", "(B) Disaster recovery plan", "(C) Emergency mode operation plan", "(D) Testing and revision procedures",
			"(E) Applications and data criticality analysis", "4.3 min", "72 h", "20 of 20", "12 drills, proved whole", "every B-tree"}, []string{"What failed", "http", "<script"}},
		"failed": {fails, []string{"What failed", "and 7136 more", "12 of 19", "&lt;script&gt;"}, []string{"<script"}},
		"missed": {func(e *drill.Evidence) {
			e.Verdict, e.RTO.Limit = drill.Missed, 60
			e.Problem = &drill.Problem{Step: "check", Kind: "overdue", Error: "restoring and proving took 4.3 min, the objective is 60.0 s"}
		}, []string{"objective missed", "An objective was missed", "missed"}, nil},
		"not begun": {func(e *drill.Evidence) {
			*e = drill.Evidence{EvidenceLink: e.EvidenceLink, Began: e.Began, Ended: e.Ended, Verdict: drill.Failed, Removed: true, Problem: &drill.Problem{Step: "open", Kind: "unreachable", Error: "open the store: it cannot be reached", Next: "try again"}}
		}, []string{"No snapshot could be restored", "at the step “open”", "not reached"}, []string{"What was checked"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := page(t, c.change)
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("it does not say %q", want)
				}
			}
			for _, lacks := range c.lacks {
				if strings.Contains(strings.ReplaceAll(text, "s3 https://s3.example.org", ""), lacks) {
					t.Errorf("it says %q", lacks)
				}
			}
			if dir := os.Getenv("PRACTICE_SCREENSHOTS"); dir != "" { // for a person to look at
				if err := os.WriteFile(filepath.Join(dir, "drill-"+strings.ReplaceAll(name, " ", "-")+".html"), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	c, p := sample(t, nil)
	p.Problem = "it was changed"
	if err := drill.WriteReport(&bytes.Buffer{}, c, p, drill.Facts{}); uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("a report of what cannot be trusted: %v", err)
	}
}
