package cli

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/publish"
)

func (a *app) releaseSignCmd() *cobra.Command {
	var stage, repo, pass, role string
	var keys []string
	return a.leaf(leaf{
		Use: "sign", Short: "Sign the draft of a channel",
		Long: "Adds the signatures of the given keys to the stage's draft of a role. Before you sign, build the release yourself from the same source " +
			"and compare the hashes. Any change of the draft removes all signatures.",
		Examples: []string{"practicectl release sign --role stable --key usb/m1.key.age --repo /srv/releases",
			"practicectl release sign --role deps --key m1.key.age,m2.key.age --passphrase-file m.pass"},
		Args:  cobra.NoArgs,
		Exits: []uerr.Kind{uerr.NotFound, uerr.Auth, uerr.Integrity, uerr.NeedConfirm},
		Enums: map[string][]string{"role": append(release.Roles(), publish.Root, publish.Targets)},
		Flags: func(f *pflag.FlagSet) {
			signFlags(f, &stage, &repo, &pass, &keys)
			f.StringVar(&role, "role", release.Stable, "role whose draft to sign")
		},
		Run: func(_ context.Context, r *run, _ []string) error { return r.signDraft(stage, repo, role, pass, keys) },
	})
}
