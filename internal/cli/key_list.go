package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"practicectl/backup"
	"practicectl/backup/repo"
	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// keyRow is one recipient in the result of "key list".
type keyRow struct {
	Recipient   string           `json:"recipient"`
	Fingerprint string           `json:"fingerprint"`
	Algorithm   sealed.Algorithm `json:"algorithm"`
	Configured  bool             `json:"configured"`      // in practice.toml
	InForce     bool             `json:"in_force"`        // backups are encrypted to it
	Since       int              `json:"since,omitempty"` // first generation of the settings that names it
	Until       int              `json:"until,omitempty"` // generation that left it out
}

// generationRow is one generation of the settings.
type generationRow struct {
	Generation  int       `json:"generation"`
	Created     time.Time `json:"created"`
	Recipients  int       `json:"recipients"`
	Epoch       int       `json:"index_epoch"`
	KeyringKeys int       `json:"keyring_keys"` // objects that its keyring hands on
	InForce     bool      `json:"in_force"`
}

// keyListing is the result of "key list".
type keyListing struct {
	Schema      string          `json:"schema"`
	Repository  string          `json:"repository,omitempty"`
	Recipients  []keyRow        `json:"recipients"`
	Generations []generationRow `json:"generations,omitempty"`
	Writers     []repo.Writer   `json:"writers,omitempty"`
	Differs     bool            `json:"configuration_differs"` // from what the owner signed
}

func (a *app) keyListCmd() *cobra.Command {
	var s storeFlags
	return a.leaf(leaf{
		Use: "list", Short: "Show who can restore the backups, and who writes them",
		Long: `Shows the recipients that backups are encrypted to, now and in earlier generations of the repository's settings: public keys with
their fingerprints. Compare a fingerprint with the one that "key generate" printed. Also shows the generations, which the owner
signed, and the hosts that may write. No private key is on this host and none is needed. Before "backup init" only the
configured recipients are known.`,
		Examples: []string{"practicectl key list", "practicectl key list --store /mnt/nas/backup --json"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.Unreachable},
		Flags:    s.bind,
		Run: func(ctx context.Context, r *run, _ []string) error {
			l := keyListing{Schema: resultSchema}
			var configured []string
			if s.store == "" {
				c, err := r.config()
				if err != nil {
					return err
				}
				configured = c.Backup.Recipients
			}
			if s.store == "" && !r.hasRepository() {
				rows, err := configuredRows(configured)
				if err != nil {
					return err
				}
				l.Recipients = rows
				return r.showKeys(l)
			}
			repository, err := r.openForReading(ctx, s, identityFlags{})
			if err != nil {
				return err
			}
			l.fill(repository, configured)
			return r.showKeys(l)
		},
	})
}

// hasRepository tells whether this host was set up to write to a repository.
func (r *run) hasRepository() bool {
	_, err := r.hostKeys()
	return uerr.KindOf(err) != uerr.NotFound
}

func configuredRows(configured []string) ([]keyRow, error) {
	rows := []keyRow{}
	if len(configured) == 0 {
		return rows, nil
	}
	keys, err := sealed.ParseRecipients(configured)
	for _, key := range keys {
		text := fmt.Sprint(key)
		rows = append(rows, keyRow{Recipient: text, Fingerprint: sealed.Fingerprint(text), Algorithm: sealed.AlgorithmOf(key), Configured: true})
	}
	return rows, err
}

// fill lists all recipients of all generations in the order in which they came, then configured ones that nobody signed.
func (l *keyListing) fill(r *backup.Repo, configured []string) {
	l.Repository, l.Writers = r.Root.ID, r.Settings.Writers
	at := map[string]int{}
	for _, s := range r.Generations {
		row := generationRow{Generation: s.Generation, Created: s.Created, Recipients: len(s.Recipients), Epoch: s.Epoch, InForce: s.Generation == r.Settings.Generation}
		for _, k := range s.Keyring {
			row.KeyringKeys += k.Keys
		}
		l.Generations = append(l.Generations, row)
		for _, name := range s.Recipients {
			if _, ok := at[name]; !ok {
				at[name] = len(l.Recipients)
				l.Recipients = append(l.Recipients, keyRow{Recipient: name, Fingerprint: sealed.Fingerprint(name), Algorithm: algorithmOf(name), Since: s.Generation})
			}
			l.Recipients[at[name]].Until = 0
		}
		for name, i := range at {
			if !slices.Contains(s.Recipients, name) && l.Recipients[i].Until == 0 {
				l.Recipients[i].Until = s.Generation
			}
		}
	}
	for _, name := range configured {
		if _, ok := at[name]; !ok {
			at[name] = len(l.Recipients)
			l.Recipients = append(l.Recipients, keyRow{Recipient: name, Fingerprint: sealed.Fingerprint(name), Algorithm: algorithmOf(name)})
		}
		l.Recipients[at[name]].Configured = true
	}
	for i := range l.Recipients {
		row := &l.Recipients[i]
		row.InForce = slices.Contains(r.Settings.Recipients, row.Recipient)
		l.Differs = l.Differs || configured != nil && row.InForce != row.Configured
	}
}

func algorithmOf(recipient string) sealed.Algorithm {
	keys, err := sealed.ParseRecipients([]string{recipient})
	if err != nil {
		return ""
	}
	return sealed.AlgorithmOf(keys[0])
}

func (r *run) showKeys(l keyListing) error {
	err := r.result(l, func(w io.Writer) {
		rows := [][]string{{"FINGERPRINT", "KIND", "STATE", "RECIPIENT"}}
		for _, k := range l.Recipients {
			rows = append(rows, []string{k.Fingerprint, string(k.Algorithm), k.state(l.Repository != ""), shorten(k.Recipient)})
		}
		table(w, rows)
		if l.Repository == "" {
			return
		}
		rows = [][]string{{"", ""}, {"GENERATION", "MADE", "RECIPIENTS", "INDEX KEY", "KEYRING"}}
		for _, g := range l.Generations {
			row := []string{fmt.Sprint(g.Generation), g.Created.Format(time.RFC3339), fmt.Sprint(g.Recipients), fmt.Sprintf("epoch %d", g.Epoch), fmt.Sprintf("%d objects", g.KeyringKeys)}
			if g.InForce {
				row = append(row, "in force")
			}
			rows = append(rows, row)
		}
		table(w, rows)
		rows = [][]string{{"", ""}, {"WRITER", "FINGERPRINT"}}
		for _, h := range l.Writers {
			text, _ := h.Key.MarshalText() // never fails
			rows = append(rows, []string{h.Host, sealed.Fingerprint(string(text))})
		}
		table(w, rows)
	})
	switch {
	case err != nil:
	case l.Differs:
		r.say("The configuration names other recipients than the owner signed: backups refuse to run. When the owner changed them: practicectl key accept")
	case len(l.Recipients) < 2:
		r.say("Backups need at least two recipients. Next: practicectl key generate --out FILE")
	}
	return err
}

// state says what a recipient is good for.
func (k keyRow) state(repository bool) string {
	switch {
	case k.Since == 0 && repository:
		return "configured, NOT SIGNED"
	case k.Since == 0:
		return "configured"
	case k.InForce && k.Since > 1:
		return fmt.Sprintf("in force since %d", k.Since)
	case k.InForce:
		return "in force"
	}
	return fmt.Sprintf("removed by %d", k.Until)
}

// shorten keeps a post-quantum key of two thousand characters from filling the screen; --json has it whole.
func shorten(key string) string {
	if len(key) <= 70 {
		return key
	}
	return key[:40] + "…" + key[len(key)-8:]
}
