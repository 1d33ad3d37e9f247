// Package custody decides who can open a repository, now and later: it changes the recipients, hands what is stored on to new
// ones, and checks that identities still open it.
//
// A repository's settings come in generations, each signed by the owner and written once. A change is a new generation. What
// was stored before stays as it is, under its locks; a rotation reads the headers of its objects and stores their keys in a
// keyring that the new recipients can open.
package custody

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"filippo.io/age"

	"practicectl/backup/repo"
	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// Change is what the owner wants to be different.
type Change struct {
	Add      []string           // recipients that can open what is stored from then on; after [Rotate] everything
	Remove   []string           // recipients, or their fingerprints, that cannot open what is stored from then on
	Owner    ed25519.PrivateKey // of the repository
	NewEpoch bool               // a new index key: all pages are uploaded once more
	Now      time.Time
}

// Plan is a change that was checked. It is made once, shown, and carried out as it is.
type Plan struct {
	Repository string   `json:"repository"`
	From       int      `json:"from_generation"`
	Generation int      `json:"generation"` // From, when nothing is different
	Recipients []string `json:"recipients"` // who can open what is stored from then on
	Added      []string `json:"added"`
	Removed    []string `json:"removed"`
	Epoch      int      `json:"index_epoch"`
	HandOn     bool     `json:"hand_on"` // some of the recipients cannot open everything that is stored

	sign       func(repo.Settings) ([]byte, error) // keeps the owner key out of whatever prints a plan
	recipients []age.Recipient
	now        time.Time
}

const op = "change who can open the repository"

// NewPlan checks a change. A change that is in force already is no error: its rotation may have to be completed. Error kinds:
// Auth (it is not the owner's key), Usage (who is to be removed is no recipient), Config (too few recipients, or of mixed kinds).
func NewPlan(r *repo.Repo, c Change) (Plan, error) {
	s := r.Settings
	if !r.Root.Owner.Equal(repo.PublicOf(c.Owner)) {
		return Plan{}, uerr.New(uerr.Auth, op, r.Store.String(), errors.New("the key is not the owner's of this repository"), "give the file that backup init wrote to --owner-key-out")
	}
	p := Plan{Repository: r.Root.ID, From: s.Generation, Generation: s.Generation, Recipients: slices.Clone(s.Recipients), Added: []string{}, Removed: []string{},
		Epoch: s.Epoch, sign: func(s repo.Settings) ([]byte, error) { return repo.SignSettings(s, c.Owner) }, now: c.Now.UTC().Truncate(time.Second)}
	for _, want := range c.Remove {
		name, err := named(r, want)
		if err != nil {
			return Plan{}, err
		}
		if i := slices.Index(p.Recipients, name); i >= 0 {
			p.Recipients = slices.Delete(p.Recipients, i, i+1)
			p.Removed = append(p.Removed, name)
		}
	}
	for _, name := range c.Add {
		if !slices.Contains(p.Recipients, name) {
			p.Recipients = append(p.Recipients, name)
			p.Added = append(p.Added, name)
		}
	}
	if len(p.Recipients) < 2 {
		return Plan{}, uerr.New(uerr.Config, op, r.Store.String(), fmt.Errorf("%d recipient would be left: one lost identity must not lose the backups", len(p.Recipients)),
			"add another one in the same step: --add RECIPIENT")
	}
	var err error
	if p.recipients, err = sealed.ParseRecipients(p.Recipients); err != nil {
		return Plan{}, err
	}
	if c.NewEpoch {
		p.Epoch++
	}
	if len(p.Added) > 0 || len(p.Removed) > 0 || c.NewEpoch {
		p.Generation++
	}
	p.HandOn = slices.ContainsFunc(p.Recipients, func(name string) bool {
		return slices.ContainsFunc(r.Generations, func(s repo.Settings) bool { return !slices.Contains(s.Recipients, name) })
	})
	return p, nil
}

// named finds a recipient of any generation by itself or its fingerprint.
func named(r *repo.Repo, want string) (string, error) {
	for _, s := range slices.Backward(r.Generations) {
		for _, name := range s.Recipients {
			if want == name || want == sealed.Fingerprint(name) {
				return name, nil
			}
		}
	}
	return "", uerr.New(uerr.Usage, op, r.Store.String(), errors.New("what is to be removed was never a recipient"), "see the recipients and their fingerprints: practicectl key list")
}

// Changes tells whether there is something to do for [Add].
func (p Plan) Changes() bool { return p.Generation != p.From }
