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
	Path        string           `json:"path,omitempty"`
	Paper       string           `json:"paper,omitempty"`
	Recipient   string           `json:"recipient"`
	Fingerprint string           `json:"fingerprint"`
	Algorithm   sealed.Algorithm `json:"algorithm"`
	Protected   bool             `json:"protected"` // by a passphrase
}

func (a *app) keyGenerateCmd() *cobra.Command {
	var o keyGenerateOptions
	return a.leaf(leaf{
		Use: "generate", Short: "Make an identity that can restore backups",
		Long: `Makes a key pair. The private part, the identity, is written to a new file that only you can read; the public part,
the recipient, is printed. Backups are encrypted to recipients; restoring needs one identity.

Carry the identity off this host and keep it with the owner and at a second place: whoever holds it reads the backups,
and without any identity they are lost. Make at least two. The file is a standard age identity file.

--paper writes the identity as a page to print, beside the file or in place of it: with a QR code and with lines that can be typed, each
with a checksum. Every command takes the typed lines as --identity. Print the page, then destroy its file.`,
		Examples: []string{
			"practicectl key generate --out /media/usb/owner.key",
			"practicectl key generate --out escrow.key --passphrase-file phrase.txt --json",
			"practicectl key generate --post-quantum --paper /media/usb/safe-deposit.html",
		},
		Args:  cobra.NoArgs,
		Exits: []uerr.Kind{uerr.Precond, uerr.NoSpace},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&o.out, "out", "", "new file for the identity, outside of the instance")
			f.StringVar(&o.paper, "paper", "", "new HTML file with a page to print, outside of the instance")
			f.StringVar(&o.repository, "repository", "", "id of the repository to print on the page; default: that of the instance")
			f.StringVar(&o.passphrase, "passphrase-file", "", "protect the file of --out with the passphrase in this file, - for stdin")
			f.BoolVar(&o.postQuantum, "post-quantum", false, "hybrid key against future quantum computers; all recipients must be of this kind")
		},
		Run: func(_ context.Context, r *run, _ []string) error {
			if o.out == "" && o.paper == "" {
				return usageError(r.cmd, errors.New("--out FILE is missing, or --paper FILE"))
			}
			if o.out == "" && o.passphrase != "" {
				return usageError(r.cmd, errors.New("--passphrase-file protects the file of --out: a page is protected by where it lies"))
			}
			var pass secret.Text
			if o.passphrase != "" {
				var err error
				if pass, err = r.readSecret("passphrase-file", "Passphrase", o.passphrase); err != nil {
					return err
				}
				if pass.Empty() {
					return uerr.New(uerr.Usage, "read --passphrase-file", o.passphrase, errors.New("it is empty"), "put the passphrase into its first line")
				}
			}
			made, err := r.makeKey(o, pass)
			if err != nil {
				return err
			}
			return r.showKey(made)
		},
	})
}

type keyGenerateOptions struct {
	out, paper, repository, passphrase string
	postQuantum                        bool
}

func (r *run) makeKey(o keyGenerateOptions, pass secret.Text) (keyMade, error) {
	k := keyMade{Schema: resultSchema, Algorithm: sealed.X25519, Protected: !pass.Empty()}
	var err error
	if k.Path, err = r.outside(o.out, "the identity"); err != nil {
		return k, err
	}
	if k.Paper, err = r.outside(o.paper, "the page"); err != nil {
		return k, err
	}
	newKey := sealed.NewIdentity
	if o.postQuantum {
		newKey, k.Algorithm = sealed.NewPostQuantumIdentity, sealed.PostQuantum
	}
	if r.dryRun() {
		return k, nil
	}
	id, err := newKey()
	if err != nil {
		return k, err
	}
	k.Recipient, k.Fingerprint = id.Recipient(), sealed.Fingerprint(id.Recipient())
	if k.Paper != "" {
		if err := writeSheet(k.Paper, identitySheet(id, r.repositoryID(o.repository), r.now())); err != nil {
			return k, err
		}
	}
	if k.Path == "" {
		return k, nil
	}
	return k, sealed.WriteIdentity(k.Path, id, pass, r.now())
}

// outside makes path absolute and refuses one in the instance that the secret must be kept away from. An empty path stays empty.
func (r *run) outside(path, what string) (string, error) {
	op := "write " + what
	if path == "" {
		return "", nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", uerr.New(uerr.Usage, op, path, err, "")
	}
	l, err := r.layout()
	if err != nil {
		return "", err
	}
	if insideInstance(abs, l) {
		return "", uerr.New(uerr.Precond, op, abs, errors.New("it would lie in the instance that it opens the backups of"), "name a file on a medium that you carry away, such as /media/usb")
	}
	return abs, nil
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
			fmt.Fprintf(w, "Would write a new identity to %s.\n", strings.TrimSpace(k.Path+" "+k.Paper))
			return
		}
		fmt.Fprintln(w, k.Recipient)
	})
	if err != nil || r.dryRun() {
		return err
	}
	where, protection := k.Path, "It is not protected by a passphrase."
	if k.Protected {
		protection = "Restoring will ask for its passphrase."
	}
	lines := []string{}
	if k.Path != "" {
		lines = append(lines, protection+" Carry the file off this host; without an identity no backup can be restored.")
	} else {
		where = k.Paper
	}
	if k.Paper != "" {
		lines = append(lines, "Print "+k.Paper+", try the print-out (practicectl key check --identity - and type its lines), then destroy the file: it holds the identity in plain text.")
	}
	r.say("%s", strings.Join(append(append([]string{"Identity: " + where + " (fingerprint " + k.Fingerprint + ")"}, lines...),
		"Next: put the recipient above into backup.recipients (at least two), then: practicectl backup init"), "\n"))
	return nil
}
