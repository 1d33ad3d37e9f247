package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// keyRow is one recipient in the result of "key list".
type keyRow struct {
	Recipient   string           `json:"recipient"`
	Fingerprint string           `json:"fingerprint"`
	Algorithm   sealed.Algorithm `json:"algorithm"`
}

func (a *app) keyListCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "list", Short: "Show who can restore the backups",
		Long: `Shows the recipients that backups of the instance are encrypted to: public keys with their fingerprints. Compare a
fingerprint with the one that "key generate" printed. No private key is on this host.`,
		Examples: []string{"practicectl key list", "practicectl key list --json --instance main"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Precond},
		Run: func(_ context.Context, r *run, _ []string) error {
			c, err := r.config()
			if err != nil {
				return err
			}
			rows := make([]keyRow, 0, len(c.Backup.Recipients))
			if len(c.Backup.Recipients) > 0 {
				rs, err := sealed.ParseRecipients(c.Backup.Recipients)
				if err != nil {
					return err
				}
				for _, key := range rs {
					text := fmt.Sprint(key)
					rows = append(rows, keyRow{Recipient: text, Fingerprint: sealed.Fingerprint(text), Algorithm: sealed.AlgorithmOf(key)})
				}
			}
			return r.showKeys(rows)
		},
	})
}

func (r *run) showKeys(rows []keyRow) error {
	err := r.result(map[string]any{"schema": resultSchema, "recipients": rows}, func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "FINGERPRINT\tKIND\tRECIPIENT")
		for _, k := range rows {
			fmt.Fprintf(t, "%s\t%s\t%s\n", k.Fingerprint, k.Algorithm, shorten(k.Recipient))
		}
		_ = t.Flush() // w is a buffer or the terminal; the command's own result does not depend on it
	})
	if err == nil && len(rows) < 2 {
		r.say("Backups need at least two recipients. Next: practicectl key generate --out FILE")
	}
	return err
}

// shorten keeps a post-quantum key of two thousand characters from filling the screen; --json has it whole.
func shorten(key string) string {
	if len(key) <= 70 {
		return key
	}
	return key[:40] + "…" + key[len(key)-8:]
}
