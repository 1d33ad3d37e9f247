// Package cli is the command tree of practicectl: the only cobra, the only rendering. Each command fills options, calls
// one function of a product package and shows the result; wire_*.go connects the packages to each other.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"practicectl/internal/uerr"
)

// Program is the name people type.
const Program = "practicectl"

// Streams are what a run of the program reads and writes. Out carries results only; everything for people goes to Err.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	Now      func() time.Time
}

// app is one invocation of the program.
type app struct {
	Streams
	global globalFlags
	runLog string // of the unattended run that failed
	wrong  error  // help was asked for a command that does not exist
}

// Main runs the command line args (without the program's name) and returns the exit code.
func Main(ctx context.Context, args []string, s Streams) int {
	a := &app{Streams: s}
	root := a.rootCmd()
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = a.wrong
	}
	if err == nil {
		return 0
	}
	if cause := context.Cause(ctx); ctx.Err() != nil {
		err = interruptedBy(cause, err)
	}
	var nagios nagiosExit
	if errors.As(err, &nagios) {
		return int(nagios)
	}
	a.reportError(err)
	return uerr.ExitCode(err)
}

// Signal is the cancellation cause when a signal ended the run.
type Signal struct{ os.Signal }

func (s Signal) Error() string { return "received signal: " + s.Signal.String() }

// interruptedBy keeps an error that the work itself explained and otherwise says that a signal ended it.
func interruptedBy(cause, err error) error {
	var s Signal
	if !errors.As(cause, &s) || !(errors.Is(err, context.Canceled) || uerr.KindOf(err) == uerr.Failed) {
		return err
	}
	kind := uerr.Interrupted
	if s.Signal == terminate {
		kind = uerr.Terminated
	}
	return uerr.New(kind, "stopped:", "", s, "run the same command again: it goes on from here")
}

// usageError is what a wrong command line becomes.
func usageError(cmd *cobra.Command, err error) error {
	var already *uerr.Error
	if errors.As(err, &already) {
		return err
	}
	return uerr.New(uerr.Usage, "", "", err, strings.TrimSpace(cmd.CommandPath())+" --help")
}
