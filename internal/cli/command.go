package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/uerr"
)

// leaf declares one command that does something.
type leaf struct {
	Use      string // "run SNAPSHOT"
	Short    string // at most 60 characters, no full stop
	Long     string
	Examples []string // at least two command lines
	Args     cobra.PositionalArgs
	Exits    []uerr.Kind // besides 0, 1, 64 and 65
	NoJSON   string      // why there is no JSON form; empty: there is one
	NoFiles  bool        // it leaves no file in the instance, so root may run it in one of another account
	Flags    func(f *pflag.FlagSet)
	Enums    map[string][]string // the values of flags that have a fixed set
	Complete cobra.CompletionFunc
	Run      func(ctx context.Context, r *run, args []string) error
}

const (
	annotationExits  = "practicectl/exits"
	annotationNoJSON = "practicectl/no-json"
	annotationNoFile = "practicectl/no-files"
	annotationOwnLog = "practicectl/own-log" // it makes the log of an unattended run itself
)

// leaf makes a cobra command of l.
func (a *app) leaf(l leaf) *cobra.Command {
	cmd := &cobra.Command{
		Use:               l.Use,
		Short:             l.Short,
		Long:              strings.TrimSpace(l.Long),
		Example:           "  " + strings.Join(l.Examples, "\n  "),
		Args:              func(c *cobra.Command, args []string) error { return wrapUsage(c, argsError(c, l.Args(c, args))) },
		ValidArgsFunction: l.Complete,
		Annotations:       map[string]string{annotationExits: exitList(l.Exits), annotationNoJSON: l.NoJSON},
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.checkFlags(c, l); err != nil {
				return err
			}
			r, err := a.newRun(c)
			if err != nil {
				return err
			}
			r.unattended()
			ctx := c.Context()
			if a.global.timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, a.global.timeout, fmt.Errorf("--timeout %s is over", a.global.timeout))
				defer cancel()
			}
			return r.close(l.Run(ctx, r, args))
		},
	}
	if l.NoFiles {
		cmd.Annotations[annotationNoFile] = "yes"
	}
	if l.Complete == nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	if l.Flags != nil {
		l.Flags(cmd.Flags())
	}
	for name, values := range l.Enums {
		if err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // a leaf names a flag that it does not have: found by every test that builds the tree
		}
	}
	return cmd
}

// group makes a command that only holds others.
func (a *app) group(use, short, long string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: strings.TrimSpace(long),
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usageError(c, unknownCommand(c, args[0]))
		},
		RunE: func(c *cobra.Command, _ []string) error {
			return usageError(c, errors.New("which command? "+strings.Join(names(c), ", ")))
		},
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(subs...)
	return cmd
}

func unknownCommand(c *cobra.Command, arg string) error {
	msg := fmt.Sprintf("unknown command %q for %q", arg, c.CommandPath())
	if near := c.SuggestionsFor(arg); len(near) > 0 {
		msg += ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return errors.New(msg)
}

func names(c *cobra.Command) []string {
	var out []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			out = append(out, sub.Name())
		}
	}
	return out
}

// argsError shows the form of the command line where cobra only counts.
func argsError(c *cobra.Command, err error) error {
	if err == nil || !strings.HasPrefix(err.Error(), "accepts ") && !strings.HasPrefix(err.Error(), "requires ") {
		return err
	}
	return errors.New("wrong number of arguments; the form is: " + c.UseLine())
}

func wrapUsage(c *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	return usageError(c, err)
}

// checkFlags refuses values outside of a flag's fixed set and forms of output that the command does not have.
func (a *app) checkFlags(c *cobra.Command, l leaf) error {
	a.global.settle()
	for _, enums := range []map[string][]string{globalEnums, l.Enums} {
		for name, values := range enums {
			for _, got := range given(c.Flag(name).Value) {
				if !slices.Contains(values, got) {
					return usageError(c, fmt.Errorf("--%s %q is none of %s", name, got, strings.Join(values, ", ")))
				}
			}
		}
	}
	if l.NoJSON != "" && a.global.output != "text" {
		return usageError(c, errors.New("this command has no JSON form: "+l.NoJSON))
	}
	return nil
}

// given are the values of a flag: several where it may be repeated, none where it was left empty.
func given(v pflag.Value) []string {
	if many, ok := v.(pflag.SliceValue); ok {
		return many.GetSlice()
	}
	if v.String() == "" {
		return nil
	}
	return []string{v.String()}
}

func exitList(kinds []uerr.Kind) string {
	all := append([]uerr.Kind{uerr.Failed, uerr.Usage, uerr.Config}, kinds...)
	codes := []int{0}
	for _, k := range all {
		codes = append(codes, k.Info().Exit)
	}
	slices.Sort(codes)
	var b strings.Builder
	for _, code := range slices.Compact(codes) {
		b.WriteString(strconv.Itoa(code) + " ")
	}
	return strings.TrimSpace(b.String())
}
