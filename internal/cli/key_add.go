package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup/custody"
	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

func (a *app) keyAddCmd() *cobra.Command {
	var o ownerFlags
	return a.leaf(leaf{
		Use: "add RECIPIENT...", Short: "Let more identities open what is stored from now on",
		Long: `Signs new settings of the repository with one or more recipients more. Objects that are stored from then on can be opened
with their identities too. What is stored already stays closed to them, and new snapshots take most of their pages from it:
alone a new identity restores next to nothing until "key rotate" has handed the past on to it.

On the practice's server the index key is at hand. On any other machine give an identity that opens it. Each host then has to
accept the change: practicectl key accept.`,
		Examples: []string{
			"practicectl key add age1… --owner-key /media/usb/owner-signing.pem",
			"practicectl key add age1… --owner-key owner-signing.pem --identity owner.key --store s3://clinic/main --endpoint https://s3.example.org --credentials-file s3.toml --yes",
		},
		Args:  cobra.MinimumNArgs(1),
		Exits: keyChangeExits,
		Flags: o.bind,
		Run: func(ctx context.Context, r *run, args []string) error {
			repository, owner, err := r.openAsOwner(ctx, o)
			if err != nil {
				return err
			}
			plan, err := custody.NewPlan(repository, custody.Change{Add: args, Owner: owner, Now: r.now()})
			if err != nil {
				return err
			}
			if done, err := r.approve(plan); done || err != nil {
				return err
			}
			rep, err := custody.Add(ctx, repository, plan)
			if err != nil {
				return err
			}
			if err := r.showKeyChange(rep); err != nil || !plan.Changes() {
				return err
			}
			r.say("What was stored before stays closed to %s until: practicectl key rotate --identity FILE --owner-key FILE", fingerprints(plan.Added))
			r.sayAccept()
			return nil
		},
	})
}

// approve shows a plan. In a dry run that is all; else it asks, since whoever is added reads the backups.
func (r *run) approve(p custody.Plan) (done bool, err error) {
	if r.dryRun() {
		return true, r.result(p, func(w io.Writer) { showKeyPlan(w, p) })
	}
	if len(p.Added)+len(p.Removed) == 0 {
		return false, nil
	}
	var b strings.Builder
	table(&b, keyRows(p.Added, p.Removed, nil))
	r.say("%s", strings.TrimSpace(b.String()))
	return false, r.confirm(moderate, "change who can read the backups", "", "")
}

func showKeyPlan(w io.Writer, p custody.Plan) {
	if !p.Changes() {
		fmt.Fprintf(w, "Generation %d is in force; nothing would change but what is missing in its keyring.\n", p.From)
	} else {
		fmt.Fprintf(w, "Would make generation %d of the settings.\n", p.Generation)
	}
	table(w, keyRows(p.Added, p.Removed, p.Recipients))
}

// keyRows say who comes, who goes and who can open what is stored from then on.
func keyRows(added, removed, all []string) [][]string {
	var rows [][]string
	for i, keys := range [][]string{added, removed, all} {
		for _, key := range keys {
			rows = append(rows, []string{[]string{"added", "removed", "recipient"}[i], sealed.Fingerprint(key), shorten(key)})
		}
	}
	return rows
}

func fingerprints(keys []string) string {
	out := make([]string, len(keys))
	for i, key := range keys {
		out[i] = sealed.Fingerprint(key)
	}
	return strings.Join(out, ", ")
}

func (r *run) showKeyChange(rep custody.Report) error {
	return r.result(rep, func(w io.Writer) {
		rows := [][]string{{"generation", fmt.Sprint(rep.Generation)}}
		if rep.Fingerprint == "" {
			rows[0] = append(rows[0], "in force already")
		} else {
			rows = append(rows, []string{"fingerprint", rep.Fingerprint})
		}
		if rep.HandedOn > 0 {
			rows = append(rows, []string{"handed on", fmt.Sprintf("%d objects, %d headers read", rep.HandedOn, rep.Headers)})
		}
		rows = append(rows, []string{"uploaded", size(rep.Uploaded)})
		rows = append(rows, keyRows(rep.Added, rep.Removed, rep.Recipients)...)
		for _, object := range rep.Left {
			rows = append(rows, []string{"left behind", object})
		}
		table(w, rows)
	})
}

// sayAccept names the step that each host needs.
func (r *run) sayAccept() {
	r.say("Until then backups refuse to run. Next, on each host, with the fingerprint above: practicectl key accept")
}

// keyChangeExits are the exit codes of the commands that change the settings.
var keyChangeExits = []uerr.Kind{uerr.Declined, uerr.NotFound, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.NoSpace, uerr.NeedConfirm}

// ownerFlags are those of commands that only the owner can carry out.
type ownerFlags struct {
	storeFlags
	identityFlags
	ownerKey string
}

func (o *ownerFlags) bind(f *pflag.FlagSet) {
	o.storeFlags.bind(f)
	o.identityFlags.bind(f, "that opens the repository so far")
	f.StringVar(&o.ownerKey, "owner-key", "", "owner key that backup init wrote; it signs the change (required)")
}
