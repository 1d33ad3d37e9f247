package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// keySplit is the result of "key escrow split".
type keySplit struct {
	Schema      string   `json:"schema"`
	Set         string   `json:"set,omitempty"`
	Shares      int      `json:"shares"`
	Threshold   int      `json:"threshold"`
	Recipient   string   `json:"recipient"`
	Fingerprint string   `json:"fingerprint"`
	Repository  string   `json:"repository,omitempty"`
	Files       []string `json:"files"`
	DryRun      bool     `json:"dry_run,omitempty"`
}

type keySplitOptions struct {
	out, repository   string
	shares, threshold int
	identity          identityFlags
}

func (a *app) keyEscrowSplitCmd() *cobra.Command {
	var o keySplitOptions
	return a.leaf(leaf{
		Use: "split IDENTITY", Short: "Divide an identity into shares for several people",
		Long: `Divides an identity into shares (Shamir's scheme): any --threshold of them together open the backups, and fewer of them tell
nothing at all. Each share is written as a page to print and as a text file, and is as long as any other. A divided identity stays
what it was: destroy its file, or keep it as well.

IDENTITY is a file, or - for stdin. Do this on a computer that you trust, not on the practice's server. Try the print-outs with
"key check" before the files are destroyed.`,
		Examples: []string{
			"practicectl key escrow split owner.key --shares 3 --threshold 2 --out /media/usb/shares",
			"practicectl key escrow split - --shares 5 --threshold 3 --out shares --repository 7301bee275c388fbd688c5242ec65f9a --json",
		},
		Args:  cobra.ExactArgs(1),
		Exits: []uerr.Kind{uerr.NotFound, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.NoSpace, uerr.NeedConfirm},
		Flags: func(f *pflag.FlagSet) {
			f.IntVar(&o.shares, "shares", 3, "number of shares")
			f.IntVar(&o.threshold, "threshold", 2, "number of shares that are needed together")
			f.StringVar(&o.out, "out", "", "folder for the pages and texts, outside of the instance (required)")
			f.StringVar(&o.repository, "repository", "", "id of the repository that it is for; default: that of the instance")
			f.StringVar(&o.identity.passphrase, "passphrase-file", "", "file with the passphrase of the identity file, - for stdin")
		},
		Run: func(_ context.Context, r *run, args []string) error {
			o.identity.files = args
			return r.keySplit(o)
		},
	})
}

func (r *run) keySplit(o keySplitOptions) error {
	const op = "divide the identity"
	if o.out == "" {
		return usageError(r.cmd, errors.New("--out DIR is missing"))
	}
	dir, err := r.outside(o.out, "the shares")
	if err != nil {
		return err
	}
	ids, err := o.identity.load(r)
	if err != nil {
		return err
	}
	id, err := sealed.OneIdentity(ids)
	if err != nil {
		return uerr.New(uerr.Auth, op, o.identity.files[0], err, "give the file that practicectl key generate wrote")
	}
	repository := r.repositoryID(o.repository)
	shares, err := id.Split(o.shares, o.threshold, repository)
	if err != nil {
		return uerr.New(uerr.Usage, op, o.identity.files[0], err, "such as --shares 3 --threshold 2")
	}
	res := keySplit{Schema: resultSchema, Shares: o.shares, Threshold: o.threshold, Recipient: id.Recipient(), Fingerprint: sealed.Fingerprint(id.Recipient()),
		Repository: repository, Files: []string{}, DryRun: r.dryRun()}
	if !r.dryRun() {
		res.Set = shares[0].Set()
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return uerr.New(uerr.Precond, "make the folder of the shares", dir, err, "name a folder that you may write to")
		}
	}
	for _, s := range shares {
		base := filepath.Join(dir, fmt.Sprintf("share-%d-of-%d", s.Number(), s.Count()))
		res.Files = append(res.Files, base+".html", base+".txt")
		if r.dryRun() {
			continue
		}
		if err := writeSheet(base+".html", shareSheet(s, id, repository, r.now())); err != nil {
			return err
		}
		text := fmt.Sprintf("# %s; any %d of them open what is encrypted for %s\n%s\n", s, s.Threshold(), shorten(id.Recipient()), s.Text())
		if err := writeNew("write the share", base+".txt", []byte(text)); err != nil {
			return err
		}
	}
	err = r.result(res, func(w io.Writer) {
		if r.dryRun() {
			fmt.Fprintln(w, "Would write:")
		}
		for _, file := range res.Files {
			fmt.Fprintln(w, file)
		}
	})
	if err == nil && !r.dryRun() {
		r.say("Any %d of these %d shares open the backups. Print the pages, give them to different people, try %d of the print-outs, then destroy the files.", o.threshold, o.shares, o.threshold)
		r.say("Next: cat share-1… share-2… | practicectl key check --identity -")
	}
	return err
}
