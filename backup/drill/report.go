package drill

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"practicectl/backup/proof"
	"practicectl/internal/uerr"
)

//go:embed report.html
var reportPage string

// Facts is what a report says besides the evidence.
type Facts struct {
	Practice string
	Now      time.Time // when it was written and the chain was proved
}

// Newest is the last piece that can be read; an empty one when there is none.
func (c Chain) Newest() Evidence {
	for n := len(c.Pieces) - 1; n >= 0; n-- {
		if e := c.Pieces[n].Evidence; e != nil {
			return *e
		}
	}
	return Evidence{}
}

// WriteReport writes the report of one piece of a chain that was proved: a page of HTML that needs nothing else and prints on
// one sheet. Error kind: Integrity when the piece cannot be trusted.
func WriteReport(w io.Writer, c Chain, p Piece, f Facts) error {
	if p.Evidence == nil || p.Problem != "" {
		return uerr.New(uerr.Integrity, "report the drill", p.Key, fmt.Errorf("its evidence cannot be trusted: %s", p.Problem), "practicectl drill list")
	}
	t, err := template.New("report").Funcs(template.FuncMap{
		"span": Span, "size": size, "clock": clock, "count": count, "day": day, "key": func(k []byte) string { return base64.StdEncoding.EncodeToString(k) },
	}).Parse(reportPage)
	if err != nil {
		return err
	}
	return t.Execute(w, newView(c, p, f))
}

// maxShown is how many findings and earlier drills fit on the page.
const maxShown = 4

// view is the evidence as the page shows it.
type view struct {
	*Evidence
	Facts
	Chain    Chain
	SHA256   string
	Title    string
	Judged   int // checks that were done
	Held     int // of them, those that found nothing
	Lines    []line
	Trouble  []string
	Unshown  int
	Bars     []bar
	Standard []standard
	Before   []Piece // drills before this one, newest first
}

// line is a check.
type line struct {
	State string // "held", "broken" or "skipped"
	Says  string
	Tells string
}

// bar is a phase in the time line.
type bar struct {
	Phase
	Percent float64
}

// standard is one implementation specification of 45 CFR 164.308(a)(7)(ii).
type standard struct {
	Mark, Name string
	State      string // as of a line; "skipped": this drill says nothing about it
	Tells      string
}

func newView(c Chain, p Piece, f Facts) view {
	e := p.Evidence
	v := view{Evidence: e, Facts: f, Chain: c, SHA256: p.SHA256}
	v.Title = fmt.Sprintf("Restore drill %d", e.Number)
	for _, r := range e.Checks {
		v.Lines = append(v.Lines, lineOf(r))
		if r.Skipped == "" {
			v.Judged++
		}
		if r.Passed() {
			v.Held++
		}
		if n := len(r.Findings); n > 0 { // one of each check: what else it found is like it
			v.Trouble = append(v.Trouble, r.Says+": "+r.Findings[0])
			v.Unshown += n - 1 + r.More
		}
	}
	if e.Problem != nil && len(v.Trouble) == 0 {
		v.Trouble = []string{"at the step “" + e.Problem.Step + "”: " + e.Problem.Error}
	}
	if n := len(v.Trouble) - maxShown; n > 0 {
		v.Trouble, v.Unshown = v.Trouble[:maxShown], v.Unshown+n
	}
	total := 0.0
	for _, phase := range e.Phases {
		total += phase.Seconds
	}
	for _, phase := range e.Phases {
		v.Bars = append(v.Bars, bar{phase, 100 * phase.Seconds / max(total, 0.001)})
	}
	for n := e.Number - 2; n >= 0 && len(v.Before) < maxShown; n-- {
		if n < len(c.Pieces) && c.Pieces[n].Evidence != nil {
			v.Before = append(v.Before, c.Pieces[n])
		}
	}
	v.Standard = standards(e, v)
	return v
}

func lineOf(r proof.Result) line {
	switch {
	case len(r.Findings) > 0:
		return line{"broken", r.Says, fmt.Sprintf("%s findings in %s\u00a0%s", count(int64(len(r.Findings)+r.More)), count(r.Looked), r.At)}
	case r.Skipped != "":
		return line{"skipped", r.Says, "not done: " + r.Skipped}
	}
	return line{"held", r.Says, count(r.Looked) + "\u00a0" + r.At}
}

// check is the state of the named checks together.
func (v view) check(names ...string) string {
	state := "skipped"
	for _, r := range v.Checks {
		for _, name := range names {
			switch {
			case r.Name != name:
			case len(r.Findings) > 0:
				return "broken"
			case r.Passed():
				state = "held"
			}
		}
	}
	return state
}

// standards says what the drill is evidence for. It certifies nothing: the plan is the practice's, and so is the judgement.
func standards(e *Evidence, v view) []standard {
	restored, emergency := "broken", v.check("alone", "row-security", "roles", "log-entries")
	if e.Verdict != Failed {
		restored = "held"
	}
	copies := v.check("signature")
	if copies == "skipped" && e.Verdict == Failed {
		copies = "broken"
	}
	a := standard{"(A)", "Data backup plan", copies, "No exact copy was retrieved."}
	if s := e.Snapshot; s != nil && copies == "held" {
		a.Tells = fmt.Sprintf("An exact copy was retrieved from %s: %s in %s files, taken %s, encrypted, each page compared with the signed digest.", e.Store, size(s.Bytes), count(s.Files), clock(s.Created))
		if !s.LockedUntil.IsZero() {
			a.Tells += " The store keeps it from being deleted until " + day(s.LockedUntil) + "."
		}
	}
	b := standard{"(B)", "Disaster recovery plan", restored, "The data were not restored."}
	if e.RTO.Known {
		b.Tells = fmt.Sprintf("Restored, started and proved in %s; the objective is %s.", Span(e.RTO.Seconds), Span(e.RTO.Limit))
		if e.RPO.Known {
			b.Tells += fmt.Sprintf(" The newest restorable state was %s old; the objective is %s.", Span(e.RPO.Seconds), Span(e.RPO.Limit))
		}
		switch {
		case e.Verdict == Failed:
			b.Tells += " But what came back is not whole; see what failed."
		case !e.RTO.Met() || !e.RPO.Met():
			b.State = "broken"
		}
	}
	c := standard{"(C)", "Emergency mode operation plan", emergency, "The restored database did not get as far."}
	if emergency == "held" {
		c.Tells = "In the copy row security is forced on every table, no role passes it by, and the log of accesses is whole and cannot be changed: what protects the records works from the first minute of an emergency."
	} else if emergency == "broken" {
		c.Tells = "What protects the records does not hold in the restored copy; see the findings."
	}
	d := standard{"(D)", "Testing and revision procedures", "held", fmt.Sprintf("This is test %d of this machine.", e.Number)}
	if len(v.Before) > 0 {
		before := v.Before[0].Evidence
		d.Tells += fmt.Sprintf(" The one before, %s earlier, %s.", Span(e.Began.Sub(before.Began).Seconds()), before.Verdict)
	}
	if e.Problem != nil {
		d.Tells += " It found what has to be revised; see above."
	}
	f := standard{"(E)", "Applications and data criticality analysis", "skipped", "Nothing was restored that could be assessed."}
	if len(e.Databases) > 0 {
		f.State = "held"
		var parts []string
		for _, db := range e.Databases {
			if db.Tables > 0 {
				parts = append(parts, fmt.Sprintf("the database %s (%s, %d tables)", db.Name, size(db.Bytes), db.Tables))
			}
		}
		f.Tells = "Restored together, as one unit of the highest criticality: " + strings.Join(append(parts, "the configuration and keys of the machine"), ", ") + "."
	}
	return []standard{a, b, c, d, f}
}

func clock(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }
func day(t time.Time) string   { return t.UTC().Format("2 January 2006") }

// count renders a number with its thousands apart.
func count(n int64) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "\u202f" + text[at:]
	}
	return text
}

// size renders bytes for people.
func size(n int64) string {
	value, unit := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, next
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
