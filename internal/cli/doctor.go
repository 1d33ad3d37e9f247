package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"practicectl/internal/doctor"
	"practicectl/internal/uerr"
)

func (a *app) doctorCmd() *cobra.Command {
	var ids []string
	for _, c := range checkups {
		ids = append(ids, c.id, c.name)
	}
	for _, c := range machineCheckups {
		if !slices.Contains(ids, c.id) {
			ids = append(ids, c.id, c.name)
		}
	}
	return a.leaf(leaf{
		Use: "doctor [CHECK...]", Short: "Look for what endangers the practice, with the cure",
		Long: `Runs small named checks on this machine and its instance: disk, database, secrets, services, certificate, backups,
schedule, updates. Each finding names the command that mends it. Name checks to run only those. Where no practice is
installed yet, it looks whether one would fit.

Exit code 14 when a check fails; warnings are shown and exit 0.`,
		Examples: []string{"practicectl doctor", "practicectl doctor disk-space page-checksums --json"},
		Args:     cobra.ArbitraryArgs,
		Exits:    []uerr.Kind{uerr.Precond},
		Complete: cobra.FixedCompletions(ids, cobra.ShellCompDirectiveNoFileComp),
		Run: func(ctx context.Context, r *run, args []string) error {
			for _, name := range args {
				if !slices.Contains(ids, name) {
					return usageError(r.cmd, fmt.Errorf("no check %q; there is %s", name, strings.Join(ids, ", ")))
				}
			}
			checks, err := r.checks(ctx)
			if err != nil {
				return err
			}
			findings := doctor.Run(ctx, checks, args)
			if err := r.result(findings, func(w io.Writer) { showExamination(w, findings) }); err != nil {
				return err
			}
			return diagnosis(findings)
		},
	})
}

// checks are those of the instance, or of a bare machine where there is none.
func (r *run) checks(ctx context.Context) ([]doctor.Check, error) {
	p, err := r.newPatient(ctx)
	if uerr.KindOf(err) != uerr.NotFound {
		if err != nil {
			return nil, err
		}
		return p.checks(), nil
	}
	l, err := r.layout()
	if err != nil {
		return nil, err
	}
	r.say("no practice is installed in %s yet: looking whether one would fit", l.Prefix)
	return machineChecks(l), nil
}

func showExamination(w io.Writer, findings []doctor.Finding) {
	rows := make([][]string, len(findings))
	for i, f := range findings {
		rows[i] = []string{strings.ToUpper(f.Severity.String()), f.ID, f.Name, f.Message}
	}
	table(w, rows)
	for _, f := range findings {
		if f.Severity != doctor.OK && f.Fix != "" {
			fmt.Fprintf(w, "fix %s:  %s\n", f.ID, f.Fix)
		}
	}
}

// diagnosis is the error of the worst finding.
func diagnosis(findings []doctor.Finding) error {
	if doctor.Worst(findings) != doctor.Fail {
		return nil
	}
	var failed []string
	hint := ""
	for _, f := range findings {
		if f.Severity == doctor.Fail {
			failed = append(failed, f.Name)
			if hint == "" {
				hint = f.Fix
			}
		}
	}
	return uerr.New(uerr.Precond, "checks failed:", strings.Join(failed, ", "), errors.New("the practice is not safe as it is"), hint)
}
