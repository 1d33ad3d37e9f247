package notify

import (
	"regexp"
	"strings"

	"practicectl/internal/secret"
)

// Redactor takes out of text what must not leave the practice.
type Redactor struct {
	Own     []string      // folders of the product: paths below them may be named
	Secrets []secret.Text // never
}

// A path begins after a blank, a quote or a bracket, or the line, and has a slash or a backslash. What follows may hold blanks, so
// nobody can tell its end.
var path = regexp.MustCompile("(?:^|[\\s\"'`(=:,;<>\\[])((?:[A-Za-z]:)?[^\\s\"'`(=:,;<>\\[/\\\\]*[/\\\\])[^\\s]")

// harmless is what has a slash and is no file of the practice: an object of the repository, a file of the database, a command's or
// a rate's unit. It begins with the match.
var harmless = regexp.MustCompile(`^([a-z]/[0-9a-zA-Z._-]+(/[0-9a-zA-Z._-]+)*|(pg/)?(base|global|pg_[a-z]+)/[0-9a-zA-Z._/-]+|[KMG]?i?B/s)`)

// Line redacts one line: it ends before the first path that is not the product's own, since file names may be names of patients.
func (r Redactor) Line(line string) string {
	for _, s := range r.Secrets {
		if !s.Empty() {
			line = strings.ReplaceAll(line, s.Reveal(), "[redacted]")
		}
	}
	done := 0
	for done < len(line) {
		m := path.FindStringSubmatchIndex(line[done:])
		if m == nil {
			break
		}
		at := done + m[2] // where the path itself begins
		known := r.own(line[at:])
		if known == 0 {
			known = len(harmless.FindString(line[at:]))
		}
		if known == 0 && strings.HasPrefix(line[at:], "//") && strings.HasSuffix(line[:at], ":") { // the address of a store
			known = max(2, strings.IndexAny(line[at:]+" ", " \"'"))
		}
		if known == 0 {
			return strings.TrimRight(line[:at], " \"'`(=:,;<>[") + " … (a file; see the log on the machine)"
		}
		done = at + known
	}
	return line
}

// own is the length of the path at the beginning of text when it is the product's own; 0 when it is not.
func (r Redactor) own(text string) int {
	for _, folder := range r.Own {
		if rest, ok := strings.CutPrefix(text, folder); ok && (rest == "" || strings.ContainsAny(rest[:1], "/\\ \"':;,)")) {
			end := strings.IndexAny(rest, " \"';,)")
			if end < 0 {
				end = len(rest)
			}
			return len(folder) + end
		}
	}
	return 0
}

// Text redacts every line of a text.
func (r Redactor) Text(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = r.Line(lines[i])
	}
	return strings.Join(lines, "\n")
}
