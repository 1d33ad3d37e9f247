package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup"
	"practicectl/internal/uerr"
)

func (a *app) backupVerifyCmd() *cobra.Command {
	var s storeFlags
	var i identityFlags
	var o backup.VerifyOptions
	return a.leaf(leaf{
		Use: "verify [SNAPSHOT]", Short: "Verify the repository, or one snapshot",
		Long: `Verifies signatures, that everything a snapshot refers to is in the store, and that every object is what its name says.
That needs no key, so it may run anywhere. With an identity everything is decrypted as well, and every page is proved
against the signature of its snapshot, as a restore would.`,
		Examples: []string{"practicectl backup verify", "practicectl backup verify latest --identity /media/usb/owner.key", "practicectl backup verify --store-name nas"},
		Args:     cobra.MaximumNArgs(1),
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Precond, uerr.Auth, uerr.Integrity, uerr.Unreachable, uerr.NeedConfirm},
		Flags: func(f *pflag.FlagSet) {
			s.bind(f)
			s.bindName(f)
			i.bind(f, "to open everything with")
			f.BoolVar(&o.References, "references", false, "only check that nothing is missing, without reading it")
		},
		Run: func(ctx context.Context, r *run, args []string) error {
			repository, err := r.openForReading(ctx, s, i)
			if err != nil {
				return err
			}
			if len(args) > 0 {
				o.Snapshot = args[0]
			}
			rep, problem := backup.Verify(ctx, repository, o, r.progress)
			if s.store == "" { // the instance's own repository
				if _, err := r.drillChains(ctx, drillFlags{storeFlags: s}); problem == nil && uerr.KindOf(err) == uerr.Integrity {
					problem = err
				}
				what := "verify"
				if s.name != "" {
					what += "-" + s.name
				}
				r.remember(what, fmt.Sprintf("%d snapshots, %s read", rep.Snapshots, size(rep.Bytes)), problem)
			}
			if problem != nil && uerr.KindOf(problem) != uerr.Integrity {
				return problem
			}
			if err := r.result(rep, func(w io.Writer) { showVerify(w, rep) }); err != nil {
				return err
			}
			return problem
		},
	})
}

func showVerify(w io.Writer, rep backup.VerifyReport) {
	depth := "read and compared with their names"
	if rep.Opened {
		depth = "decrypted and proved page by page"
	}
	table(w, [][]string{{"snapshots", fmt.Sprint(rep.Snapshots)}, {"packs", fmt.Sprint(rep.Packs)}, {"log objects", fmt.Sprint(rep.Log)}, {"read", size(rep.Bytes) + ", " + depth}, {"problems", fmt.Sprint(len(rep.Problems))}})
	for _, p := range rep.Problems {
		fmt.Fprintln(w, "problem:", p)
	}
}
