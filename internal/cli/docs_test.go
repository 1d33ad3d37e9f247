package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"practicectl/internal/uerr"
)

// inlineCommand is a command line in the running text: `practicectl backup run -n`.
var inlineCommand = regexp.MustCompile("`(" + Program + " [^`]+)`")

// quoted is one word of a command line as a shell takes it apart.
var quoted = regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"])+`)

// TestDocumentsNameRealCommands: what the README and the guide tell people to type exists, with those flags.
func TestDocumentsNameRealCommands(t *testing.T) {
	pages, err := filepath.Glob("../../docs/guide/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commandLines(string(text)) {
			checkDocumented(t, page, line)
		}
	}
}

var (
	exitRow = regexp.MustCompile(`(?m)^\| (\d[\d, ]*) \|`)
	link    = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
)

// TestDocumentsNameRealExitCodesAndPages: the exit codes in the tables of the guide exist, and so do the files that the
// documents point to.
func TestDocumentsNameRealExitCodesAndPages(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	codes := []string{"0"}
	for _, k := range uerr.Kinds {
		codes = append(codes, strconv.Itoa(k.Exit))
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(page, "/guide/") {
			for _, row := range exitRow.FindAllStringSubmatch(string(text), -1) {
				for code := range strings.SplitSeq(row[1], ", ") {
					if !slices.Contains(codes, code) {
						t.Errorf("%s: there is no exit code %s", page, code)
					}
				}
			}
		}
		for _, to := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), to[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// commandLines returns the lines of fenced sh blocks and of inline code that call the program, continuation lines joined.
func commandLines(text string) []string {
	var lines []string
	fenced := false
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = strings.HasPrefix(line, "```sh")
		case fenced:
			line, _, _ = strings.Cut(line, " # ")
			line = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(line), "sudo "), "bin/"), "~/")
			if strings.HasPrefix(line, Program+" ") {
				lines = append(lines, line)
			}
		default:
			for _, m := range inlineCommand.FindAllStringSubmatch(line, -1) {
				lines = append(lines, m[1])
			}
		}
	}
	return lines
}

// checkDocumented parses a line with a tree of its own: command, flags and number of arguments have to fit.
func checkDocumented(t *testing.T, page, line string) {
	t.Helper()
	words := quoted.FindAllString(line, -1)[1:]
	if words[0] == "help" {
		return
	}
	found, rest, err := tree().Find(words)
	if err != nil {
		t.Errorf("%s: %q: %v", page, line, err)
		return
	}
	if slices.Contains(rest, "-h") && found.HasParent() {
		return
	}
	if _, isLeaf := found.Annotations[annotationExits]; !isLeaf {
		t.Errorf("%s: %q: there is no such command", page, line)
		return
	}
	if err := found.ParseFlags(rest); err != nil {
		t.Errorf("%s: %q: %v", page, line, err)
		return
	}
	if err := found.Args(found, found.Flags().Args()); err != nil {
		t.Errorf("%s: %q: %v", page, line, err)
	}
}
