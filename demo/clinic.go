package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"practicectl/internal/uerr"
)

// clinic is the practice's side of the story: it only types commands, as an administrator would.
type clinic struct {
	dir     string // home of the account, everything of the clinic lies below
	prefix  string // root of the installation
	program string // the practicectl that is typed: the bootstrap one, then the installed one
	show    func(commandLine string)
}

// command prepares one command line of practicectl.
func (c *clinic) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.program, args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "LANG=C.UTF-8", "TZ=" + os.Getenv("TZ"), "PRACTICE_PREFIX=" + c.prefix}
	return cmd
}

// run types a command line and decodes its JSON result into result, unless that is nil.
func (c *clinic) run(ctx context.Context, result any, args ...string) error {
	c.show(c.line(args))
	if result != nil {
		args = append(args, "--json")
	}
	cmd := c.command(ctx, append(args, "--no-input", "--progress", "none"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return &commandError{line: c.line(args), exit: cmd.ProcessState.ExitCode(), said: strings.TrimSpace(errs.String()), err: err}
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(out.Bytes(), result); err != nil {
		return fmt.Errorf("%s: read the result: %w", c.line(args), err)
	}
	return nil
}

// line is the command line as a person would type it in the clinic's folder.
func (c *clinic) line(args []string) string {
	words := []string{"practicectl"}
	for _, a := range args {
		if rest, ok := strings.CutPrefix(a, c.dir+string(filepath.Separator)); ok {
			a = rest
		}
		if strings.ContainsAny(a, " '\"") {
			a = "'" + a + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// commandError is a command that failed, with what it said.
type commandError struct {
	line string
	exit int
	said string
	err  error
}

func (e *commandError) Error() string { return fmt.Sprintf("%s: exit %d: %s", e.line, e.exit, e.said) }
func (e *commandError) Unwrap() error { return e.err }

// exitOf returns the exit code of the command that err is about, or -1.
func exitOf(err error) int {
	var c *commandError
	if errors.As(err, &c) {
		return c.exit
	}
	return -1
}

// detach starts a command that outlives the demo, with its output in a log file.
func (c *clinic) detach(args ...string) (process, error) {
	c.show(c.line(args) + " &")
	log := filepath.Join(c.dir, strings.Join(args[:2], "-")+".log")
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return process{}, err
	}
	defer func() { _ = f.Close() }() // the child has its own descriptor
	cmd := c.command(context.Background(), args)
	cmd.Stdout, cmd.Stderr = f, f
	outlive(cmd)
	if err := cmd.Start(); err != nil {
		return process{}, uerr.New(uerr.Failed, "start", c.line(args), err, "")
	}
	p := process{Name: strings.Join(args[:2], " "), PID: cmd.Process.Pid, Log: log}
	go func() { _ = cmd.Wait() }() // reaps it when it ends before the demo does
	return p, nil
}
