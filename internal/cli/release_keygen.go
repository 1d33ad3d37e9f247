package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/uerr"
	"practicectl/release/publish"
)

func (a *app) releaseKeygenCmd() *cobra.Command {
	var out, pass string
	var work int
	return a.leaf(leaf{
		Use: "keygen", Short: "Make a signing key for releases",
		Long: "Makes an Ed25519 key: OUT.key.age, encrypted with a passphrase, and OUT.pub for the ceremony. Make each key on the machine of the " +
			"person who will hold it, and compare the six words on the telephone before the ceremony uses it.",
		Examples: []string{"practicectl release keygen --out usb/alice", "practicectl release keygen --out keys/build --passphrase-file build.pass"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.Precond, uerr.NeedConfirm},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&out, "out", "", "name of the two files, without ending")
			f.StringVar(&pass, "passphrase-file", "", "file that holds the passphrase, - for standard input")
			f.IntVar(&work, "work", publish.DefaultWork, "cost of guessing the passphrase, as a power of two (10 to 22)")
		},
		Run: func(_ context.Context, r *run, _ []string) error {
			if out == "" || work < 10 || work > 22 {
				return usageError(r.cmd, fmt.Errorf("--out is needed and --work goes from 10 to 22"))
			}
			if r.dryRun() {
				r.say("would make %s.key.age and %s.pub", out, out)
				return nil
			}
			secret, err := r.readSecret("passphrase-file", "New passphrase for "+out, pass)
			if err != nil {
				return err
			}
			k, err := publish.GenerateKey()
			if err != nil {
				return err
			}
			if err := publish.SaveKey(out, k, secret, work); err != nil {
				return err
			}
			res := map[string]string{"key": out + ".key.age", "public": out + ".pub", "id": k.ID, "words": k.Words()}
			return r.result(res, func(w io.Writer) {
				table(w, [][]string{{"private key", res["key"]}, {"public key", res["public"]}, {"id", k.ID}, {"words", k.Words()}})
			})
		},
	})
}
