package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"practicectl/internal/uerr"
)

// resultSchema names the JSON contract of all commands. Changes only add.
const resultSchema = "practicectl/v1"

// result shows v as the one JSON document, or calls text. With --quiet the text form is silent.
func (r *run) result(v any, text func(w io.Writer)) error {
	switch r.global.output {
	case "json":
		enc := json.NewEncoder(r.app.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	case "jsonl":
		return json.NewEncoder(r.app.Out).Encode(map[string]any{"type": "summary", "schema": resultSchema, "result": v})
	}
	if r.global.quiet {
		return nil
	}
	text(r.app.Out)
	return nil
}

// say writes one line for people, unless --quiet.
func (r *run) say(format string, args ...any) {
	if !r.global.quiet {
		fmt.Fprintf(r.app.Err, format+"\n", args...)
	}
}

// jsonError is an error in JSON, one line on stderr.
type jsonError struct {
	Type   string `json:"type"`
	Schema string `json:"schema"`
	Kind   string `json:"kind"`
	Exit   int    `json:"exit"`
	Error  string `json:"error"`
	Hint   string `json:"hint,omitempty"`
	Log    string `json:"log,omitempty"` // of an unattended run
}

// reportError writes err for people, the next command to type last, or as one JSON line.
func (a *app) reportError(err error) {
	kind := uerr.KindOf(err)
	if a.global.cron && kind == uerr.Locked {
		return // another run is at work: nothing that anybody has to know at night
	}
	if a.global.json || a.global.output == "json" || a.global.output == "jsonl" {
		line, merr := json.Marshal(jsonError{"error", resultSchema, kind.String(), kind.Info().Exit, err.Error(), uerr.HintOf(err), a.runLog})
		if merr == nil {
			fmt.Fprintln(a.Err, string(line))
			return
		}
	}
	head, tail := "error:", "fix: "
	if a.colorful(a.Err) {
		head, tail = "\x1b[31;1merror:\x1b[0m", "\x1b[1mfix:\x1b[0m "
	}
	fmt.Fprintf(a.Err, "%s %s   [%s, exit %d]\n", head, strings.ReplaceAll(err.Error(), "\n", "; "), kind, kind.Info().Exit)
	if hint := uerr.HintOf(err); hint != "" {
		fmt.Fprintf(a.Err, "  %s %s\n", tail, strings.ReplaceAll(hint, "\n", "\n        "))
	}
	a.showTail(a.Err)
}

// colorful reports whether w may get colour.
func (a *app) colorful(w io.Writer) bool {
	switch {
	case a.global.color == "always" || a.Getenv("CLICOLOR_FORCE") != "" || a.Getenv("FORCE_COLOR") != "":
		return a.global.color != "never"
	case a.global.color == "never" || a.Getenv("NO_COLOR") != "" || a.Getenv("TERM") == "dumb":
		return false
	}
	return isTerminal(w)
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// table writes rows with aligned columns.
func table(w io.Writer, rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-len([]rune(cell))+2))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// size renders bytes for people.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, exp := float64(n)/unit, 0
	for value >= unit && exp < 4 {
		value, exp = value/unit, exp+1
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[exp])
}
