package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/paths"
	"practicectl/internal/sealed"
	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

// keyMade is the result of "key generate".
type keyMade struct {
	Schema      string           `json:"schema"`
	Path        string           `json:"path"`
	Recipient   string           `json:"recipient"`
	Fingerprint string           `json:"fingerprint"`
	Algorithm   sealed.Algorithm `json:"algorithm"`
	Protected   bool             `json:"protected"` // by a passphrase
}

func (a *app) keyGenerateCmd() *cobra.Command {
	var out, passphraseFile string
	var postQuantum bool
	return a.leaf(leaf{
		Use: "generate", Short: "Make an identity that can restore backups",
		Long: `Makes a key pair. The private part, the identity, is written to a new file that only you can read; the public part,
the recipient, is printed. Backups are encrypted to recipients; restoring needs one identity.

Carry the identity off this host and keep it with the owner and at a second place: whoever holds it reads the backups,
and without any identity they are lost. Make at least two. The file is a standard age identity file.`,
		Examples: []string{
			"practicectl key generate --out /media/usb/owner.key",
			"practicectl key generate --out escrow.key --passphrase-file phrase.txt --json",
		},
		Args:  cobra.NoArgs,
		Exits: []uerr.Kind{uerr.Precond, uerr.NoSpace},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&out, "out", "", "new file for the identity, outside of the instance (required)")
			f.StringVar(&passphraseFile, "passphrase-file", "", "protect the identity with the passphrase in this file, - for stdin")
			f.BoolVar(&postQuantum, "post-quantum", false, "hybrid key against future quantum computers; all recipients must be of this kind")
		},
		Run: func(_ context.Context, r *run, _ []string) error {
			if out == "" {
				return usageError(r.cmd, errors.New("--out FILE is missing"))
			}
			var pass secret.Text
			if passphraseFile != "" {
				var err error
				if pass, err = r.readSecret("passphrase-file", "Passphrase", passphraseFile); err != nil {
					return err
				}
				if pass.Empty() {
					return uerr.New(uerr.Usage, "read --passphrase-file", passphraseFile, errors.New("it is empty"), "put the passphrase into its first line")
				}
			}
			made, err := r.makeKey(out, pass, postQuantum)
			if err != nil {
				return err
			}
			return r.showKey(made)
		},
	})
}

func (r *run) makeKey(out string, pass secret.Text, postQuantum bool) (keyMade, error) {
	path, err := filepath.Abs(out)
	if err != nil {
		return keyMade{}, uerr.New(uerr.Usage, "write the identity file", out, err, "")
	}
	l, err := r.layout()
	if err != nil {
		return keyMade{}, err
	}
	if insideInstance(path, l) {
		return keyMade{}, uerr.New(uerr.Precond, "write the identity file", path,
			errors.New("it would lie in the instance that it opens the backups of"), "name a file on a medium that you carry away: --out /media/usb/owner.key")
	}
	newKey, algorithm := sealed.NewIdentity, sealed.X25519
	if postQuantum {
		newKey, algorithm = sealed.NewPostQuantumIdentity, sealed.PostQuantum
	}
	id, err := newKey()
	if err != nil {
		return keyMade{}, err
	}
	k := keyMade{Schema: resultSchema, Path: path, Recipient: id.Recipient(), Fingerprint: sealed.Fingerprint(id.Recipient()), Algorithm: algorithm, Protected: !pass.Empty()}
	if r.dryRun() {
		k.Recipient, k.Fingerprint = "", ""
		return k, nil
	}
	return k, sealed.WriteIdentity(path, id, pass, r.now())
}

// insideInstance reports whether path lies where the instance keeps its configuration or state.
func insideInstance(path string, l paths.Layout) bool {
	for _, dir := range []string{l.Etc(), l.Var()} {
		if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return false
}

func (r *run) showKey(k keyMade) error {
	err := r.result(k, func(w io.Writer) {
		if r.dryRun() {
			fmt.Fprintf(w, "Would write a new identity to %s.\n", k.Path)
			return
		}
		fmt.Fprintln(w, k.Recipient)
	})
	if err != nil || r.dryRun() {
		return err
	}
	protection := "It is not protected by a passphrase."
	if k.Protected {
		protection = "Restoring will ask for its passphrase."
	}
	r.say("%s", strings.Join([]string{
		"Identity: " + k.Path + " (fingerprint " + k.Fingerprint + ")",
		protection + " Carry the file off this host; without an identity no backup can be restored.",
		"Next: put the recipient above into backup.recipients (at least two), then: practicectl backup init",
	}, "\n"))
	return nil
}
