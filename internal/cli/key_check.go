package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup/custody"
	"practicectl/internal/uerr"
)

func (a *app) keyCheckCmd() *cobra.Command {
	var s storeFlags
	var i identityFlags
	var o custody.CheckOptions
	return a.leaf(leaf{
		Use: "check", Short: "Prove that an identity still opens the backups",
		Long: `Opens, without restoring anything, the index key of every generation of the settings, the newest, the oldest and a random
snapshot, and a sample of the objects that they need; with --all the header of every object. The lines of a paper page, or of
enough shares in one file, are taken as well, so a print-out can be tried without a file: --identity - and type or scan it.

Do it once a year for each identity, and after each rotation. When the identity is tried on the practice's server, the date is noted
and shown by status and doctor. Exit code 12: something stays closed.`,
		Examples: []string{
			"practicectl key check --identity /media/usb/owner.key",
			"cat share-1.txt share-3.txt | practicectl key check --identity - --all --store s3://clinic/main --endpoint https://s3.example.org --credentials-file s3.toml",
		},
		Args:  cobra.NoArgs,
		Exits: []uerr.Kind{uerr.NotFound, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.NeedConfirm},
		Flags: func(f *pflag.FlagSet) {
			s.bind(f)
			i.bind(f, "to try (required)")
			f.BoolVar(&o.All, "all", false, "try the header of every object, not a sample")
		},
		Run: func(ctx context.Context, r *run, _ []string) error {
			if len(i.files) == 0 {
				return usageError(r.cmd, errors.New("--identity FILE is needed"))
			}
			repository, err := r.openForReading(ctx, s, i)
			if err != nil {
				return err
			}
			o.Pick = rand.IntN
			rep, problem := custody.Check(ctx, repository, o, r.progress)
			if s.store == "" { // the instance's own repository
				r.remember("key-check", "with "+identityNames(rep.Identities), problem)
			}
			if k := uerr.KindOf(problem); problem != nil && k != uerr.Auth && k != uerr.Integrity {
				return problem
			}
			if err := r.result(rep, func(w io.Writer) { showCheck(w, rep) }); err != nil {
				return err
			}
			return problem
		},
	})
}

func identityNames(fingerprints []string) string {
	if len(fingerprints) == 0 {
		return "the identity of a plugin"
	}
	return "identity " + strings.Join(fingerprints, ", ")
}

func showCheck(w io.Writer, rep custody.CheckReport) {
	verdict := func(o custody.Opening) string {
		if o.Opens {
			return "opens"
		}
		return "CLOSED: " + o.Why
	}
	rows := [][]string{{"with", identityNames(rep.Identities)}}
	for _, g := range rep.Generations {
		rows = append(rows, []string{"settings " + g.Name, g.Created.Format(time.RFC3339), verdict(g)})
	}
	for _, s := range rep.Snapshots {
		rows = append(rows, []string{"snapshot", s.Created.Format(time.RFC3339), verdict(s)})
	}
	what := "a sample"
	if rep.All {
		what = "everything"
	}
	rows = append(rows, []string{"objects", fmt.Sprintf("%d opened, %d of them by the keyring, %d closed (%s)", rep.Objects, rep.FromKeyring, len(rep.Unopened), what)})
	table(w, rows)
}
