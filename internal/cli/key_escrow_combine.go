package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/escrow"
	"practicectl/internal/sealed"
	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

// keyCombined is the result of "key escrow combine".
type keyCombined struct {
	Schema      string `json:"schema"`
	Set         string `json:"set"`
	Shares      int    `json:"shares"`
	Threshold   int    `json:"threshold"`
	Recipient   string `json:"recipient"`
	Fingerprint string `json:"fingerprint"`
	Path        string `json:"path,omitempty"`
}

func (a *app) keyEscrowCombineCmd() *cobra.Command {
	var out, repository, passphrase string
	return a.leaf(leaf{
		Use: "combine FILE...", Short: "Put an identity together from its shares",
		Long: `Reads shares from files, or from stdin for -: texts that were scanned, or lines typed from the pages. Says which line is
mistyped, which shares do not belong together and how many are missing. With --out the identity is written to a new file; without it
nothing is written and only its public key is shown, so that shares can be tried.

Writing it is seldom needed: every command takes a file with enough shares as --identity.`,
		Examples: []string{
			"practicectl key escrow combine share-1-of-3.txt share-3-of-3.txt",
			"practicectl key escrow combine typed.txt --out /media/usb/owner.key --passphrase-file phrase.txt",
		},
		Args:  cobra.MinimumNArgs(1),
		Exits: []uerr.Kind{uerr.NotFound, uerr.Auth, uerr.Precond, uerr.NoSpace, uerr.NeedConfirm},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&out, "out", "", "new file for the identity, outside of the instance")
			f.StringVar(&repository, "repository", "", "id of the repository that it must be for; default: that of the instance")
			f.StringVar(&passphrase, "passphrase-file", "", "protect the identity with the passphrase in this file")
		},
		Run: func(_ context.Context, r *run, args []string) error {
			path, err := r.outside(out, "the identity")
			if err != nil {
				return err
			}
			id, first, err := r.combine(args, r.repositoryID(repository))
			if err != nil {
				return err
			}
			res := keyCombined{Schema: resultSchema, Set: first.Set(), Shares: first.Count(), Threshold: first.Threshold(), Recipient: id.Recipient(), Fingerprint: sealed.Fingerprint(id.Recipient())}
			if path != "" && !r.dryRun() {
				var pass secret.Text
				if passphrase != "" {
					if pass, err = r.readSecret("passphrase-file", "Passphrase", passphrase); err != nil {
						return err
					}
				}
				if err := sealed.WriteIdentity(path, id, pass, r.now()); err != nil {
					return err
				}
				res.Path = path
			}
			return r.result(res, func(w io.Writer) {
				rows := [][]string{{"set", fmt.Sprintf("%s, %d of %d shares", res.Set, res.Threshold, res.Shares)}, {"recipient", shorten(res.Recipient)}, {"fingerprint", res.Fingerprint}}
				if res.Path != "" {
					rows = append(rows, []string{"identity", res.Path})
				}
				table(w, rows)
			})
		},
	})
}

// combine reads all shares in the files. They must be for the repository, when it is known.
func (r *run) combine(files []string, repository string) (*sealed.Identity, escrow.Share, error) {
	const op = "put the identity together"
	var all []escrow.Share
	for _, file := range files {
		shares, err := sealed.LoadShares(file, sealed.Ask{Stdin: r.app.In})
		if err != nil {
			return nil, escrow.Share{}, err
		}
		all = append(all, shares...)
	}
	first := all[0]
	if repository != "" && !first.ForNothing() && !first.IsFor(repository) {
		return nil, first, uerr.New(uerr.Auth, op, "", errors.New("the shares are for another repository than "+repository), "give the id that stands on the pages: --repository ID")
	}
	id, err := sealed.CombineShares(all)
	if err != nil {
		return nil, first, uerr.New(uerr.Auth, op, "", err, "bring other shares of the same set; the set stands on each page")
	}
	return id, first, nil
}
