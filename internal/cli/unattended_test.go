package cli

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/uerr"
)

// onlyPlanned are the commands that would do something on a machine where nothing is installed, or to the crontab of
// whoever runs the tests. They are walked with --dry-run.
var onlyPlanned = []string{"demo up", "demo down", "db init", "schedule install", "schedule remove"}

// findings are the commands whose result on standard output is what is wrong; their exit code repeats it.
var findings = []string{"doctor"}

// TestNoCommandWaitsForAnybody runs every command where nothing is installed, without arguments that would help it, with
// nothing on standard input and pipes for the rest, in an environment that claims a colourful terminal.
func TestNoCommandWaitsForAnybody(t *testing.T) {
	t.Chdir(t.TempDir())
	prefix := filepath.Join(t.TempDir(), "Praxis Süd")
	walk(tree(), func(c *cobra.Command, path []string) {
		name := strings.Join(path, " ")
		t.Run(strings.Join(path, "_"), func(t *testing.T) {
			nothing, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			defer nothing.Close()
			s, out, errs := streams()
			s.In = nothing
			s.Getenv = func(name string) string {
				return map[string]string{"PRACTICE_PREFIX": prefix, "TERM": "xterm-256color", "PATH": os.Getenv("PATH")}[name]
			}
			args := append(slices.Clone(path), fewestArgs(t, c)...)
			if slices.Contains(onlyPlanned, name) {
				args = append(args, "--dry-run")
			}
			patience, stopped := 20*time.Second, strings.Contains(c.Annotations[annotationNoJSON], "until it is stopped")
			if stopped {
				patience = time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			done := make(chan int, 1)
			go func() { done <- Main(ctx, args, s) }()
			select {
			case code := <-done:
				checkOutcome(t, c, code, out.String(), errs.String())
				if ctx.Err() != nil && !stopped {
					t.Errorf("waited for %s", patience)
				}
			case <-time.After(patience + 10*time.Second):
				t.Fatal("hangs, even when it is told to stop")
			}
		})
	})
}

// fewestArgs are as many arguments as the command asks for at least.
func fewestArgs(t *testing.T, c *cobra.Command) []string {
	for args := []string{}; len(args) < 4; args = append(args, "nothing-like-this") {
		if c.Args(c, args) == nil {
			return args
		}
	}
	t.Fatal("no number of arguments is right")
	return nil
}

// checkOutcome wants an exit code that the help lists, and on failure an error with its code and nothing on stdout.
func checkOutcome(t *testing.T, c *cobra.Command, code int, out, errs string) {
	t.Helper()
	if !slices.Contains(strings.Fields(c.Annotations[annotationExits]), strconv.Itoa(code)) {
		t.Errorf("exit code %d is not in the help: %s\n%s", code, c.Annotations[annotationExits], errs)
	}
	if strings.Contains(out+errs, "\x1b") || strings.Contains(out+errs, "\r") {
		t.Errorf("control characters in a pipe: %q %q", out, errs)
	}
	if code == 0 {
		return
	}
	name := strings.TrimPrefix(c.CommandPath(), Program+" ")
	if out != "" && !slices.Contains(findings, name) {
		t.Errorf("exit %d, but on stdout: %q", code, out)
	}
	if !strings.HasPrefix(lastError(errs), "error: ") || !strings.Contains(errs, "exit "+strconv.Itoa(code)+"]") {
		t.Errorf("exit %d without an error that says so: %q", code, errs)
	}
}

// lastError is the line of the error: hints follow it, indented.
func lastError(errs string) string {
	lines := strings.Split(strings.TrimRight(errs, "\n"), "\n")
	for i := len(lines) - 1; i > 0; i-- {
		if !strings.HasPrefix(lines[i], " ") {
			return lines[i]
		}
	}
	return lines[0]
}

// TestFlagsWithFixedValuesCompleteAndRefuse: a flag with a fixed set of values completes to all of them, refuses others
// and names the good ones.
func TestFlagsWithFixedValuesCompleteAndRefuse(t *testing.T) {
	count := 0
	walk(tree(), func(c *cobra.Command, path []string) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			values := fixedValues(c, f.Name)
			if values == nil {
				if f.Value.Type() == "string" && listsValues(f.Usage) {
					t.Errorf("%v --%s lists its values (%s), but neither completes nor checks them", path, f.Name, f.Usage)
				}
				return
			}
			count++
			s, out, _ := streams()
			Main(context.Background(), append(append([]string{cobra.ShellCompNoDescRequestCmd}, path...), "--"+f.Name, ""), s)
			if got := strings.Fields(out.String()); !slices.Equal(got[:max(0, len(got)-1)], values) {
				t.Errorf("%v --%s completes to %v, want %v", path, f.Name, got, values)
			}
			s, out, errs := streams()
			args := append(append(slices.Clone(path), fewestArgs(t, c)...), "--"+f.Name, "nonsense", "--dry-run", "--prefix", t.TempDir())
			if code := Main(context.Background(), args, s); code != 64 || out.Len() != 0 || !strings.Contains(errs.String(), strings.Join(values, ", ")) {
				t.Errorf("%v --%s nonsense: exit %d, stdout %q, stderr %q", path, f.Name, code, out, errs)
			}
		})
	})
	if count < 8 {
		t.Errorf("found only %d flags with fixed values", count)
	}
}

// fixedValues asks the completion of a flag.
func fixedValues(c *cobra.Command, flag string) []string {
	complete, ok := c.GetFlagCompletionFunc(flag)
	if !ok {
		return nil
	}
	values, _ := complete(c, nil, "")
	return values
}

// listsValues reports whether a usage text ends with "one, two or three".
func listsValues(usage string) bool {
	_, list, ok := strings.Cut(usage, ": ")
	if !ok || strings.Contains(usage, "default") || strings.Contains(list, "(") {
		return false
	}
	head, last, ok := strings.Cut(list, " or ")
	return ok && !strings.Contains(last, " ") && !strings.Contains(strings.ReplaceAll(head, ", ", ""), " ")
}

func TestPersistentFlagsWithFixedValuesComplete(t *testing.T) {
	for name, values := range globalEnums {
		s, out, _ := streams()
		Main(context.Background(), []string{cobra.ShellCompNoDescRequestCmd, "version", "--" + name, ""}, s)
		if got := strings.Fields(out.String()); !slices.Equal(got[:max(0, len(got)-1)], values) {
			t.Errorf("--%s completes to %v, want %v", name, got, values)
		}
	}
}

// TestCommandsWithoutJSONSayWhy: either a command has a JSON form, or it refuses --json with its reason.
func TestCommandsWithoutJSONSayWhy(t *testing.T) {
	exempt := 0
	walk(tree(), func(c *cobra.Command, path []string) {
		why := c.Annotations[annotationNoJSON]
		if why == "" {
			return
		}
		exempt++
		s, out, errs := streams()
		args := append(append(slices.Clone(path), fewestArgs(t, c)...), "--json", "--prefix", t.TempDir())
		if code := Main(context.Background(), args, s); code != 64 || out.Len() != 0 || !strings.Contains(errs.String(), why) {
			t.Errorf("%v --json: exit %d, stdout %q, stderr %q", path, code, out, errs)
		}
	})
	if exempt > 3 {
		t.Errorf("%d commands have no JSON form", exempt)
	}
}

// TestEveryCommandHasItsManPage: NAME, examples and flags of each command are on a page of its own.
func TestEveryCommandHasItsManPage(t *testing.T) {
	dir := t.TempDir()
	s, _, errs := streams()
	if code := Main(context.Background(), []string{"man", dir}, s); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	walk(tree(), func(c *cobra.Command, path []string) {
		page, err := os.ReadFile(filepath.Join(dir, Program+"-"+strings.Join(path, "-")+".1"))
		if err != nil {
			t.Error(err)
			return
		}
		for _, section := range []string{".TH ", ".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS", ".SH EXAMPLE"} {
			if !strings.Contains(string(page), section) {
				t.Errorf("%v: the man page has no %s", path, section)
			}
		}
	})
}

// helpWithin is the time that the help of a command may take. A run of the whole program adds its start to it.
const helpWithin = 150 * time.Millisecond

func TestHelpIsQuick(t *testing.T) {
	walk(tree(), func(_ *cobra.Command, path []string) {
		best := time.Hour
		for range 5 { // the best of a few: this machine may be busy with other tests
			s, _, _ := streams()
			started := time.Now()
			Main(context.Background(), append(slices.Clone(path), "-h"), s)
			if best = min(best, time.Since(started)); best < helpWithin {
				return
			}
		}
		t.Errorf("%v -h takes %s, want less than %s", path, best, helpWithin)
	})
}

// TestExitCodesOfEveryCommandAreInTheTable keeps the help from naming codes that mean nothing.
func TestExitCodesOfEveryCommandAreInTheTable(t *testing.T) {
	known := []string{"0"}
	for _, k := range uerr.Kinds {
		known = append(known, strconv.Itoa(k.Exit))
	}
	walk(tree(), func(c *cobra.Command, path []string) {
		for _, code := range strings.Fields(c.Annotations[annotationExits]) {
			if !slices.Contains(known, code) {
				t.Errorf("%v: exit code %s is in no table", path, code)
			}
		}
	})
}
