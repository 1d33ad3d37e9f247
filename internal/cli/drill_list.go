package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"practicectl/backup/drill"
	"practicectl/internal/uerr"
)

// drillListResult is what drill list tells.
type drillListResult struct {
	Chains []drill.Chain `json:"chains"`
}

func (a *app) drillListCmd() *cobra.Command {
	var f drillFlags
	return a.leaf(leaf{
		Use: "list", Short: "List the evidence of all drills, and prove it",
		Long: `Reads the evidence of all drills of all machines from the repository and proves it: each piece is signed, none is missing,
changed or exchanged, and those that this machine wrote are compared with its own copies. That needs no identity.

Whoever may write to the store may add a chain under another name with a key of his own: compare the fingerprint of the
signer with the one that the first drill of the machine printed.

Exit code 13: something in the evidence was tampered with; the list says what.`,
		Examples: []string{"practicectl drill list", "practicectl drill list --json", "practicectl drill list --store /mnt/nas/backup"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.Unreachable},
		Flags:    f.bind,
		Run: func(ctx context.Context, r *run, _ []string) error {
			chains, problem := r.drillChains(ctx, f)
			if problem != nil && uerr.KindOf(problem) != uerr.Integrity || chains == nil && problem != nil {
				return problem
			}
			if chains == nil {
				chains = []drill.Chain{}
			}
			if err := r.result(drillListResult{chains}, func(w io.Writer) { r.showChains(w, chains) }); err != nil {
				return err
			}
			return problem
		},
	})
}

func (r *run) showChains(w io.Writer, chains []drill.Chain) {
	if len(chains) == 0 {
		fmt.Fprintln(w, "Nobody has drilled yet: practicectl drill run --identity FILE")
		return
	}
	for n, c := range chains {
		whose := "of another machine"
		if c.Own {
			whose = "of this machine"
		}
		if n > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s, %s, signed by %s\n", c.Host, whose, c.Signer)
		rows := [][]string{{"NUMBER", "WHEN", "VERDICT", "SNAPSHOT", "RTO", "RPO", ""}}
		for _, p := range c.Pieces {
			rows = append(rows, pieceRow(p))
		}
		table(w, rows)
	}
}

func pieceRow(p drill.Piece) []string {
	row := []string{p.Key, "", "", "", "", "", ""}
	if e := p.Evidence; e != nil {
		row[1], row[2] = e.Began.Format(time.RFC3339), string(e.Verdict)
		if e.Snapshot != nil {
			row[3] = e.Snapshot.ID[:12]
		}
		if e.RTO.Known {
			row[4] = drill.Span(e.RTO.Seconds)
		}
		if e.RPO.Known {
			row[5] = drill.Span(e.RPO.Seconds)
		}
		if e.Problem != nil {
			row[6] = "at " + e.Problem.Step
		}
	}
	switch {
	case p.Problem != "":
		row[6] = "NOT TO BE TRUSTED: " + p.Problem
	case p.Pending:
		row[6] += " (here only; stored with the next drill)"
	}
	return row
}
