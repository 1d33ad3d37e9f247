// Package cmdline is the command line of the small programs: commands over package flag, with the error form and the
// exit codes of practicectl.
package cmdline

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"practicectl/internal/buildinfo"
	"practicectl/internal/uerr"
)

// Streams are what a run of a program reads and writes.
type Streams struct {
	Out, Err io.Writer
	Getenv   func(string) string
	Now      func() time.Time
}

// Command is one verb of a program.
type Command struct {
	Name  string
	Args  string // "URL", or empty when it takes none
	Short string // one line
	// Setup declares the flags and returns what runs once they are parsed.
	Setup func(f *flag.FlagSet) func(ctx context.Context, s Streams, args []string) error
}

// Program is a set of commands. "version" and "help" come by themselves.
type Program struct {
	Name     string
	Short    string
	Commands []Command
}

// Main runs args (without the program's name) and returns the exit code.
func (p Program) Main(ctx context.Context, args []string, s Streams) int {
	err := p.run(ctx, args, s)
	if err == nil {
		return 0
	}
	kind := uerr.KindOf(err)
	fmt.Fprintf(s.Err, "error: %s   [%s, exit %d]\n", err, kind, kind.Info().Exit)
	if hint := uerr.HintOf(err); hint != "" {
		fmt.Fprintf(s.Err, "  fix:  %s\n", hint)
	}
	return kind.Info().Exit
}

func (p Program) run(ctx context.Context, args []string, s Streams) error {
	if len(args) == 0 {
		p.help(s.Err)
		return p.usage("", errors.New("which command?"))
	}
	switch args[0] {
	case "-h", "--help", "help":
		p.help(s.Out)
		return nil
	case "--version":
		args = []string{"version"}
	}
	for _, c := range p.all() {
		if c.Name == args[0] {
			return p.runCommand(ctx, c, args[1:], s)
		}
	}
	return p.usage("", fmt.Errorf("unknown command %q", args[0]))
}

func (p Program) runCommand(ctx context.Context, c Command, args []string, s Streams) error {
	f := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	f.SetOutput(io.Discard) // errors are shown once, in our form
	run := c.Setup(f)
	rest, err := parse(f, args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(s.Out, "%s\n\nUsage: %s\n", c.Short, p.line(c))
		f.SetOutput(s.Out)
		f.PrintDefaults()
		return nil
	}
	if err != nil {
		return p.usage(c.Name, err)
	}
	if want := len(strings.Fields(c.Args)); len(rest) != want {
		return p.usage(c.Name, fmt.Errorf("%d arguments, want %d: %s", len(rest), want, p.line(c)))
	}
	return run(ctx, s, rest)
}

// parse lets flags and arguments stand in any order.
func parse(f *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		if f.NArg() == 0 {
			return rest, nil
		}
		rest, args = append(rest, f.Arg(0)), f.Args()[1:]
	}
}

func (p Program) usage(command string, err error) error {
	return uerr.New(uerr.Usage, "", "", err, strings.TrimSpace(p.Name+" "+command)+" -h")
}

func (p Program) line(c Command) string {
	return strings.TrimSpace(p.Name + " " + c.Name + " " + c.Args)
}

func (p Program) help(w io.Writer) {
	fmt.Fprintf(w, "%s\n\nCommands:\n", p.Short)
	for _, c := range p.all() {
		fmt.Fprintf(w, "  %-14s %s\n", strings.TrimSpace(c.Name+" "+c.Args), c.Short)
	}
	fmt.Fprintf(w, "\n%s COMMAND -h shows the flags of a command.\n", p.Name)
}

func (p Program) all() []Command {
	return append(append([]Command(nil), p.Commands...), Command{Name: "version", Short: "Show the version", Setup: p.version})
}

func (p Program) version(f *flag.FlagSet) func(context.Context, Streams, []string) error {
	asJSON := f.Bool("json", false, "print JSON")
	return func(_ context.Context, s Streams, _ []string) error {
		info := buildinfo.Read(p.Name)
		if *asJSON {
			return JSON(s.Out, info)
		}
		_, err := fmt.Fprintf(s.Out, "%s %s (%s/%s, %s)\n", info.Program, info.Version, info.OS, info.Arch, info.Go)
		return err
	}
}

// JSON writes v as one indented document.
func JSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
