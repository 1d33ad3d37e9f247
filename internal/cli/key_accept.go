package cli

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup"
	"practicectl/internal/config"
	"practicectl/internal/uerr"
)

type keyAcceptOptions struct {
	confirm, indexKey string
}

func (a *app) keyAcceptCmd() *cobra.Command {
	var o keyAcceptOptions
	return a.leaf(leaf{
		Use: "accept", Short: "Take over recipients that the owner changed",
		Long: `After "key add" or "key rotate" the recipients in this host's configuration are not those that the owner signed, and backups
refuse to run: nobody can change who reads them without being noticed, neither in the store nor in the configuration. This command
shows the difference, asks for the fingerprint that "key add" or "key rotate" printed, and writes the new recipients into the
configuration. Somebody who holds the owner key as well could sign recipients of their own, so take the fingerprint from whoever
made the change, and not from this machine.`,
		Examples: []string{
			"practicectl key accept",
			"practicectl key accept --confirm 5b7e-fc3b-5e06-bb89-b22b --index-key /media/usb/index.key",
		},
		Args:  cobra.NoArgs,
		Exits: []uerr.Kind{uerr.Declined, uerr.NotFound, uerr.Locked, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.NoSpace, uerr.NeedConfirm},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&o.confirm, "confirm", "", "fingerprint of the settings, as key add or key rotate printed it")
			f.StringVar(&o.indexKey, "index-key", "", "file of the new index key, when key rotate made one; - for stdin")
		},
		Run: func(ctx context.Context, r *run, _ []string) error { return r.keyAccept(ctx, o) },
	})
}

func (r *run) keyAccept(ctx context.Context, o keyAcceptOptions) error {
	ctx, release, err := r.lock(ctx, "backup", "key accept")
	if err != nil {
		return err
	}
	defer release()
	c, err := r.config()
	if err != nil {
		return err
	}
	l, err := r.layout()
	if err != nil {
		return err
	}
	b, err := storeFlags{}.section(r)
	if err != nil {
		return err
	}
	st, err := r.openStore(b, false)
	if err != nil {
		return err
	}
	var index []byte
	if o.indexKey != "" {
		text, err := r.readSecret("index-key", "Index key", o.indexKey)
		if err != nil {
			return err
		}
		index = []byte(text.Reveal())
	}
	plan, err := backup.PlanAccept(ctx, st, l.Cred(), c.Backup.Recipients, index)
	if err != nil {
		return err
	}
	if !plan.Changes() || r.dryRun() {
		return r.showAcceptance(plan, false)
	}
	if len(plan.Added)+len(plan.Removed) > 0 || plan.NewIndexKey {
		if err := r.confirmSettings(plan, o.confirm); err != nil {
			return err
		}
	}
	path, err := r.configPath()
	if err != nil {
		return err
	}
	err = plan.Accept(l.Cred(), func(recipients []string) error {
		c.Backup.Recipients = recipients
		return config.Save(path, c)
	})
	if err != nil {
		return err
	}
	return r.showAcceptance(plan, true)
}

// confirmSettings asks for the fingerprint of the new settings without showing it: it must come from whoever made them.
func (r *run) confirmSettings(plan backup.Acceptance, given string) error {
	const op = "take over the recipients"
	if given == "" {
		var b strings.Builder
		table(&b, keyRows(plan.Added, plan.Removed, nil))
		r.say("Who can read the backups changes:\n%s", strings.TrimSpace(b.String()))
		text, err := r.askTerminal("Fingerprint that key add or key rotate printed", "give it with --confirm FINGERPRINT; it is not shown here, so that it comes from whoever made the change")
		if err != nil {
			return err
		}
		given = strings.TrimSpace(text.Reveal())
	}
	if subtle.ConstantTimeCompare([]byte(strings.ToLower(given)), []byte(plan.Fingerprint)) == 1 {
		return nil
	}
	return uerr.New(uerr.Auth, op, "", errors.New("the settings in the store have another fingerprint: they are not those that were announced, or it was mistyped"),
		"ask whoever holds the owner key what they changed, and compare: practicectl key list")
}

func (r *run) showAcceptance(plan backup.Acceptance, done bool) error {
	res := struct {
		backup.Acceptance
		Accepted bool `json:"accepted"`
		DryRun   bool `json:"dry_run,omitempty"`
	}{plan, done, r.dryRun()}
	if !done {
		res.Fingerprint = "" // a dry run must not be the place where it is copied from
	}
	err := r.result(res, func(w io.Writer) {
		if !plan.Changes() {
			fmt.Fprintf(w, "Generation %d is in force and known here; there is nothing to accept.\n", plan.Generation)
			return
		}
		rows := [][]string{{"generation", fmt.Sprintf("%d, here %d", plan.Generation, plan.From)}}
		if done {
			rows = [][]string{{"generation", fmt.Sprint(plan.Generation)}}
		}
		table(w, append(rows, keyRows(plan.Added, plan.Removed, plan.Recipients)...))
	})
	if err == nil && done {
		r.say("Next: practicectl backup run")
	}
	return err
}
