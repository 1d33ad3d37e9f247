package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup/drill"
	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
)

func (a *app) drillReportCmd() *cobra.Command {
	var f drillFlags
	var out string
	return a.leaf(leaf{
		Use: "report [NUMBER]", Short: "Write the report of a drill, one page to print",
		Long: `Proves the evidence as drill list does and writes the report of one drill as a page of HTML that prints on one sheet: what was
restored, how long it took against the objective, how old it was, what was checked, what failed, and what of the contingency
plan of 45 CFR 164.308(a)(7) it is evidence for. Without a number it is the last drill of this machine, or where it has none
the last one of all. A drill of another machine is named with --host NAME.

The page needs nothing else: no network, no script. With --json it is the evidence itself.`,
		Examples: []string{"practicectl drill report --out drill.html", "practicectl drill report 12 --host drill-host > drill-12.html"},
		Args:     cobra.MaximumNArgs(1),
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.Unreachable},
		Flags: func(fs *pflag.FlagSet) {
			f.bind(fs)
			fs.StringVar(&out, "out", "", "file for the page; default: standard output")
		},
		Run: func(ctx context.Context, r *run, args []string) error {
			number := 0
			if len(args) > 0 {
				var err error
				if number, err = strconv.Atoi(args[0]); err != nil || number < 1 {
					return usageError(r.cmd, fmt.Errorf("%q is no number of a drill; practicectl drill list shows them", args[0]))
				}
			}
			chains, err := r.drillChains(ctx, f)
			if err != nil {
				return err
			}
			chain, piece, err := r.findPiece(chains, f, number)
			if err != nil {
				return err
			}
			var page bytes.Buffer
			if err := drill.WriteReport(&page, chain, piece, r.reportFacts()); err != nil {
				return err
			}
			if out != "" {
				if err := atomicfile.WriteBytes(out, 0o644, page.Bytes()); err != nil {
					return uerr.New(uerr.Precond, "write the report", out, err, "name another file with --out")
				}
			}
			return r.result(piece, func(w io.Writer) {
				if out != "" {
					fmt.Fprintf(w, "Drill %d of %s: %s. The report is in %s.\n", piece.Evidence.Number, chain.Host, piece.Evidence.Verdict, out)
					return
				}
				_, err = w.Write(page.Bytes())
			})
		},
	})
}

// findPiece finds a drill: by number in the named chain, else the last one.
func (r *run) findPiece(chains []drill.Chain, f drillFlags, number int) (drill.Chain, drill.Piece, error) {
	none := func(what string) error {
		return uerr.New(uerr.NotFound, "find the drill", what, errors.New("there is no evidence of it"), "practicectl drill list")
	}
	k, err := r.keeper(f)
	if err != nil {
		return drill.Chain{}, drill.Piece{}, err
	}
	chain, ok := chainOf(chains, k.Host)
	if !ok && f.host == "" && len(chains) > 0 { // this machine has none
		chain, ok = newestChain(chains), true
	}
	if !ok {
		return chain, drill.Piece{}, none(strings.TrimSpace(f.host))
	}
	if number == 0 {
		number = len(chain.Pieces)
	}
	if number > len(chain.Pieces) {
		return chain, drill.Piece{}, none(fmt.Sprintf("%d of %s", number, chain.Host))
	}
	return chain, chain.Pieces[number-1], nil
}

func chainOf(chains []drill.Chain, host string) (drill.Chain, bool) {
	for _, c := range chains {
		if c.Host == host && len(c.Pieces) > 0 {
			return c, true
		}
	}
	return drill.Chain{}, false
}

func newestChain(chains []drill.Chain) drill.Chain {
	best := chains[0]
	for _, c := range chains[1:] {
		if c.Newest().Began.After(best.Newest().Began) {
			best = c
		}
	}
	return best
}

// reportFacts is what a report says besides the evidence.
func (r *run) reportFacts() drill.Facts {
	facts := drill.Facts{Now: r.now()}
	if c, err := r.config(); err == nil {
		facts.Practice = c.Practice.Name
	}
	return facts
}
