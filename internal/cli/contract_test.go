package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// streams is a run without a terminal: stdin is empty, stdout and stderr are pipes.
func streams() (Streams, *bytes.Buffer, *bytes.Buffer) {
	out, errs := new(bytes.Buffer), new(bytes.Buffer)
	return Streams{In: strings.NewReader(""), Out: out, Err: errs, Getenv: func(string) string { return "" }, Now: time.Now}, out, errs
}

func tree() *cobra.Command {
	s, _, _ := streams()
	return (&app{Streams: s}).rootCmd()
}

// walk calls fn for every command that does something.
func walk(c *cobra.Command, fn func(c *cobra.Command, path []string)) {
	for _, sub := range c.Commands() {
		if _, isLeaf := sub.Annotations[annotationExits]; isLeaf {
			fn(sub, strings.Fields(sub.CommandPath())[1:])
		}
		walk(sub, fn)
	}
}

func TestEveryCommandKeepsTheContract(t *testing.T) {
	count := 0
	walk(tree(), func(c *cobra.Command, path []string) {
		count++
		t.Run(strings.Join(path, "_"), func(t *testing.T) {
			if n := len([]rune(c.Short)); n == 0 || n > 60 || strings.HasSuffix(c.Short, ".") {
				t.Errorf("short text %q has %d characters; want 1 to 60 and no full stop", c.Short, n)
			}
			if len(c.Long) < len(c.Short) || !strings.HasSuffix(c.Long, ".") {
				t.Errorf("long text %q: want whole sentences", c.Long)
			}
			if c.Args == nil {
				t.Error("no Args validator")
			}
			if c.Annotations[annotationExits] == "" {
				t.Error("no exit codes")
			}
			if c.ValidArgsFunction == nil {
				t.Error("no completion of arguments")
			}
			checkExamples(t, c)
			checkFlagsOf(t, c)
		})
	})
	if count < 4 {
		t.Fatalf("walked only %d commands", count)
	}
}

// checkExamples wants two or more examples that parse: command, flags, their values and the number of arguments.
func checkExamples(t *testing.T, c *cobra.Command) {
	lines := 0
	for line := range strings.Lines(c.Example) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		lines++
		words := quoted.FindAllString(line, -1)
		at := slices.Index(words, Program)
		if at < 0 {
			t.Errorf("example %q does not call %s", line, Program)
			continue
		}
		words = words[at+1:]
		if end := slices.IndexFunc(words, func(w string) bool { return strings.ContainsAny(w[:1], "|><&#") }); end >= 0 {
			words = words[:end]
		}
		found, rest, err := tree().Find(words)
		if err != nil || found.CommandPath() != c.CommandPath() {
			t.Errorf("example %q does not lead to this command: %v", line, err)
			continue
		}
		if err := found.ParseFlags(rest); err != nil {
			t.Errorf("example %q: %v", line, err)
			continue
		}
		if err := found.Args(found, found.Flags().Args()); err != nil {
			t.Errorf("example %q: %v", line, err)
		}
		found.Flags().Visit(func(f *pflag.Flag) {
			if values := fixedValues(found, f.Name); values != nil && !slices.Contains(values, f.Value.String()) {
				t.Errorf("example %q: --%s is none of %v", line, f.Name, values)
			}
		})
	}
	if lines < 2 {
		t.Errorf("%d examples, want at least 2", lines)
	}
}

func checkFlagsOf(t *testing.T, c *cobra.Command) {
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Usage == "" || strings.HasSuffix(f.Usage, ".") {
			t.Errorf("--%s: usage %q", f.Name, f.Usage)
		}
		if strings.HasPrefix(f.Name, "no-") && f.Value.Type() == "bool" && f.DefValue == "true" {
			t.Errorf("--%s: booleans are positive", f.Name)
		}
		for _, word := range []string{"password", "passphrase", "secret"} {
			if strings.Contains(f.Name, word) && !strings.HasSuffix(f.Name, "-file") {
				t.Errorf("--%s: secrets are only read from files: name it --%s-file", f.Name, f.Name)
			}
		}
	})
}

func TestHelpIsOfferedEverywhereAndFast(t *testing.T) {
	walk(tree(), func(_ *cobra.Command, path []string) {
		s, out, errs := streams()
		if code := Main(context.Background(), append(path, "-h"), s); code != 0 {
			t.Errorf("%v -h: exit %d, %s", path, code, errs)
		}
		if !strings.Contains(out.String(), "Examples:") || strings.Contains(out.String(), "\x1b[") {
			t.Errorf("%v -h: no examples, or colour in a pipe:\n%s", path, out)
		}
	})
}

func TestUnknownFlagsAreRefusedWithASuggestion(t *testing.T) {
	walk(tree(), func(_ *cobra.Command, path []string) {
		s, out, errs := streams()
		if code := Main(context.Background(), append(path, "--jsom"), s); code != 64 {
			t.Errorf("%v --jsom: exit %d", path, code)
		}
		if out.Len() != 0 || !strings.Contains(errs.String(), "did you mean --json") {
			t.Errorf("%v --jsom: stdout %q, stderr %q", path, out, errs)
		}
	})
}

func TestWrongCommandsAreRefusedWithASuggestion(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"verson"}, "did you mean version"},
		{[]string{"config", "shwo"}, "did you mean show"},
		{[]string{"bakup", "run", "-h"}, "did you mean backup"},
		{[]string{"config", "shwo", "--help"}, "did you mean show"},
		{[]string{"upgrade"}, "practicectl update apply"},
		{[]string{"help", "nonsense"}, `unknown command "nonsense"`},
		{[]string{"restore", "run"}, "practicectl restore run SNAPSHOT"},
		{[]string{"config"}, "show, validate"},
		{[]string{"version", "--output", "xml"}, "none of text, json, jsonl"},
	} {
		s, out, errs := streams()
		if code := Main(context.Background(), c.args, s); code != 64 || out.Len() != 0 || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", c.args, code, out, errs)
		}
	}
}

func TestErrorsInJSONAreOneLineWithKindAndHint(t *testing.T) {
	s, out, errs := streams()
	code := Main(context.Background(), []string{"config", "show", "--json", "--prefix", t.TempDir()}, s)
	var e jsonError
	if err := json.Unmarshal(errs.Bytes(), &e); err != nil || code != 10 || e.Exit != 10 || e.Kind != "not-found" || e.Hint == "" || out.Len() != 0 {
		t.Errorf("exit %d, stdout %q, stderr %q, %v", code, out, errs, err)
	}
}

func TestManPagesAreReproducible(t *testing.T) {
	var pages [2]map[string]string
	for i := range pages {
		dir := t.TempDir()
		s, _, errs := streams()
		if code := Main(context.Background(), []string{"man", dir}, s); code != 0 {
			t.Fatalf("exit %d: %s", code, errs)
		}
		pages[i] = map[string]string{}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			data, err := os.ReadFile(dir + "/" + e.Name())
			if err != nil {
				t.Fatal(err)
			}
			pages[i][e.Name()] = string(data)
		}
	}
	if len(pages[0]) < 4 {
		t.Errorf("only %d pages", len(pages[0]))
	}
	for name, text := range pages[0] {
		if pages[1][name] != text {
			t.Errorf("%s differs between two runs", name)
		}
	}
}
