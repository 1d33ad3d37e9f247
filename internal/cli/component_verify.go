package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"practicectl/installer"
	"practicectl/internal/uerr"
)

func (a *app) componentVerifyCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "verify [COMPONENT...]", Short: "Compare what is installed with the receipts",
		Long: `Compares every file of the installed components with the signed list that came with it, the live versions with the
receipts, and looks whether the services run and the keys are readable by their owner only.`,
		Examples: []string{"practicectl component verify", "practicectl component verify server --json"},
		Args:     cobra.ArbitraryArgs, Complete: completeComponents,
		NoFiles: true,
		Exits:   []uerr.Kind{uerr.NotFound, uerr.Integrity},
		Run: func(ctx context.Context, r *run, args []string) error {
			names, err := componentNames(args)
			if err != nil {
				return err
			}
			inst, err := r.newInstaller(installer.Desired{})
			if err != nil {
				return err
			}
			findings, verr := inst.Verify(ctx, names)
			if findings == nil {
				return verr
			}
			if err := r.result(findings, func(w io.Writer) { showFindings(w, findings) }); err != nil {
				return err
			}
			return verr
		},
	})
}

func showFindings(w io.Writer, all []installer.Finding) {
	for _, f := range all {
		if f.OK {
			fmt.Fprintln(w, strings.TrimSpace("ok   "+f.Component+" "+f.Version))
			continue
		}
		fmt.Fprintln(w, strings.TrimSpace("BAD  "+f.Component+" "+f.Version))
		for _, p := range f.Problems {
			fmt.Fprintf(w, "       %s\n", p)
		}
	}
}
