package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"practicectl/internal/progress"
	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

// testRun is a run of a command without a terminal.
func testRun(t *testing.T, edit func(*globalFlags)) (*run, *bytes.Buffer, *bytes.Buffer) {
	t.Helper()
	s, out, errs := streams()
	a := &app{Streams: s}
	a.global = globalFlags{prefix: t.TempDir(), instance: "main", output: "text", color: "auto", progress: "auto"}
	if edit != nil {
		edit(&a.global)
	}
	a.global.settle()
	r, err := a.newRun(tree())
	if err != nil {
		t.Fatal(err)
	}
	return r, out, errs
}

func TestResultsHaveOneFormEach(t *testing.T) {
	v := map[string]int{"n": 1}
	for _, c := range []struct{ output, want string }{
		{"text", "one\n"},
		{"json", "{\n  \"n\": 1\n}\n"},
		{"jsonl", `{"result":{"n":1},"schema":"practicectl/v1","type":"summary"}` + "\n"},
	} {
		r, out, _ := testRun(t, func(g *globalFlags) { g.output = c.output })
		if err := r.result(v, func(w io.Writer) { _, _ = io.WriteString(w, "one\n") }); err != nil || out.String() != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.output, out, err, c.want)
		}
	}
	r, out, errs := testRun(t, func(g *globalFlags) { g.cron = true })
	_ = r.result(v, func(w io.Writer) { _, _ = io.WriteString(w, "one\n") })
	r.say("hello")
	r.progress.Note("note")
	r.progress.Warn("warn")
	if out.Len()+errs.Len() != 0 {
		t.Errorf("--cron is not silent: %q %q", out, errs)
	}
}

func TestDangerousQuestionsWithoutATerminalNameTheFlag(t *testing.T) {
	r, _, _ := testRun(t, nil)
	for _, c := range []struct {
		d     danger
		given string
		want  string // "" is permission
	}{
		{moderate, "", "--yes"},
		{severe, "", "--confirm main"},
		{severe, "mian", "--confirm main"},
		{severe, "main", ""},
	} {
		err := r.confirm(c.d, "remove everything?", "main", c.given)
		if c.want == "" && err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		if c.want != "" && (uerr.KindOf(err) != uerr.NeedConfirm || !strings.Contains(uerr.HintOf(err), c.want)) {
			t.Errorf("%+v: %v, hint %q", c, err, uerr.HintOf(err))
		}
	}
	r.global.yes = true
	if err := r.confirm(moderate, "go on?", "", ""); err != nil {
		t.Error(err)
	}
	if err := r.confirm(severe, "remove everything?", "main", ""); uerr.KindOf(err) != uerr.NeedConfirm {
		t.Errorf("--yes answers a severe question: %v", err)
	}
}

func TestSecretsAreReadFromFilesOnly(t *testing.T) {
	r, _, _ := testRun(t, nil)
	path := t.TempDir() + "/phrase"
	if err := os.WriteFile(path, []byte("long phrase\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := r.readSecret("passphrase-file", "Passphrase", path)
	if err != nil || got.Reveal() != "long phrase" {
		t.Errorf("got %q, %v", got.Reveal(), err)
	}
	r.app.In = strings.NewReader("from stdin\n")
	if got, err = r.readSecret("passphrase-file", "Passphrase", "-"); err != nil || got.Reveal() != "from stdin" {
		t.Errorf("got %q, %v", got.Reveal(), err)
	}
	if _, err = r.readSecret("passphrase-file", "Passphrase", ""); uerr.KindOf(err) != uerr.NeedConfirm || !strings.Contains(uerr.HintOf(err), "--passphrase-file") {
		t.Errorf("got %v, hint %q", err, uerr.HintOf(err))
	}
	var _ secret.Text = got
}

func TestErrorsEndWithTheNextCommand(t *testing.T) {
	s, _, errs := streams()
	a := &app{Streams: s}
	a.reportError(uerr.New(uerr.Locked, "back up", "main", errors.New("locked"), "wait"))
	if got := errs.String(); got != "error: back up main: locked   [locked, exit 11]\n  fix:  wait\n" {
		t.Errorf("got %q", got)
	}
}

func TestSignalsDecideTheExitCodeOfWorkTheyEnded(t *testing.T) {
	for _, c := range []struct {
		sig  os.Signal
		err  error
		want int
	}{
		{os.Interrupt, context.Canceled, 130},
		{terminate, context.Canceled, 143},
		{terminate, uerr.New(uerr.NoSpace, "", "", nil, ""), 16}, // the work explained itself
	} {
		if got := uerr.ExitCode(interruptedBy(Signal{c.sig}, c.err)); got != c.want {
			t.Errorf("%v, %v: exit %d, want %d", c.sig, c.err, got, c.want)
		}
	}
}

func TestProgressInAPipeIsPlainAndRare(t *testing.T) {
	var buf bytes.Buffer
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &plain{w: &buf, now: func() time.Time { return now }}
	task := p.Task("read", progress.Bytes, 100<<20)
	for range 100 {
		now = now.Add(time.Second)
		task.Add(1 << 20)
	}
	task.Done()
	lines := strings.Split(strings.TrimSpace(buf.String()), "\n")
	if len(lines) < 10 || len(lines) > 13 || strings.ContainsAny(buf.String(), "\r\x1b") {
		t.Errorf("%d lines:\n%s", len(lines), &buf)
	}
	if last := lines[len(lines)-1]; last != "  read: 100.0 MiB, 100.0 s" {
		t.Errorf("last line %q", last)
	}
}

func TestProgressBarIsClearedAtTheEnd(t *testing.T) {
	var buf bytes.Buffer
	b := &bars{w: &buf}
	task := b.Task("read", progress.Items, 3)
	time.Sleep(80 * time.Millisecond) // the bar draws at most every 65 ms
	task.Add(2)
	task.Grow(1)
	task.Add(2)
	task.Done()
	b.Note("done with %d", 4)
	b.finish()
	if got := buf.String(); !strings.Contains(got, "read") || !strings.HasSuffix(got, "done with 4\n") {
		t.Errorf("got %q", got)
	}
}

func TestProgressForProgramsIsOneObjectALine(t *testing.T) {
	var buf bytes.Buffer
	j := &jsonLines{w: &buf}
	task := j.Task("read", progress.Items, 2)
	task.Add(2)
	task.Done()
	j.Warn("careful")
	var types []string
	for line := range strings.Lines(buf.String()) {
		var v struct {
			Type   string `json:"type"`
			Schema string `json:"schema"`
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil || v.Schema != resultSchema {
			t.Errorf("line %q: %v", line, err)
		}
		types = append(types, v.Type)
	}
	if got := strings.Join(types, " "); got != "status status warning" {
		t.Errorf("got %s", got)
	}
}
