package backup

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// Acceptance is what a host would take over from the newest settings of its repository, which the owner signed.
type Acceptance struct {
	From        int      `json:"from_generation"` // that the host knows
	Generation  int      `json:"generation"`      // in force
	Fingerprint string   `json:"fingerprint"`     // of the settings in force; key add and key rotate print it
	Recipients  []string `json:"recipients"`
	Added       []string `json:"added"` // against the host's configuration
	Removed     []string `json:"removed"`
	Epoch       int      `json:"index_epoch"`
	NewIndexKey bool     `json:"new_index_key"` // the host needs the key of a new epoch

	pin repo.Pin
	key *repo.IndexKey
}

// Changes tells whether the host's configuration or keys differ from the settings.
func (a Acceptance) Changes() bool {
	return len(a.Added) > 0 || len(a.Removed) > 0 || a.NewIndexKey || a.From != a.Generation
}

// PlanAccept compares what a host has, its keys in the folder credentials and the recipients of its configuration, with the settings
// that the owner signed. index is the file of a new index key, nil where none came. Error kinds: Precond (a new index key is needed, and it
// was not given), Auth (it is another one), Integrity (the settings are not the owner's).
func PlanAccept(ctx context.Context, st objstore.Store, credentials string, configured []string, index []byte) (Acceptance, error) {
	const op = "accept the settings of"
	k, err := LoadKeys(credentials)
	if err != nil {
		return Acceptance{}, err
	}
	have := *k.Index
	k.Index = nil // it may be of an epoch that has ended
	r, err := Open(ctx, st, k)
	if err != nil {
		return Acceptance{}, err
	}
	s := r.Settings
	a := Acceptance{From: k.Pin.Generation, Generation: s.Generation, Fingerprint: sealed.Fingerprint(r.SettingsSum), Recipients: s.Recipients, Epoch: s.Epoch,
		Added: missingFrom(configured, s.Recipients), Removed: missingFrom(s.Recipients, configured), pin: follow(*k.Pin, r)}
	if have.Epoch == s.Epoch {
		return a, nil
	}
	a.NewIndexKey = true
	if index == nil {
		return a, uerr.New(uerr.Precond, op, st.String(), errors.New("the owner made a new index key, and this host has the old one"), "bring the file that key rotate wrote to --index-key-out: --index-key FILE")
	}
	key, err := repo.ParseIndexKey(index)
	if err != nil || key.Epoch != s.Epoch || key.Check() != s.IndexCheck {
		return a, uerr.New(uerr.Auth, op, st.String(), errors.New("the file is not the index key of the settings in force"), "bring the file that key rotate wrote to --index-key-out")
	}
	a.key = &key
	return a, nil
}

// Accept takes the settings over: first a new index key, then the configuration, by configure, then the pin. When it is cut off,
// the same call finishes. Error kinds: Precond, NoSpace.
func (a Acceptance) Accept(credentials string, configure func(recipients []string) error) error {
	if a.key != nil {
		data, err := a.key.Encode()
		if err != nil {
			return err
		}
		if err := writeKey(filepath.Join(credentials, indexFile), data); err != nil {
			return err
		}
	}
	if err := configure(a.Recipients); err != nil {
		return err
	}
	return savePin(credentials, a.pin)
}

// Follow pins the settings in force after a run that found the recipients unchanged, so that the store cannot go back to older
// ones. Error kinds: Precond, NoSpace.
func Follow(credentials string, r *Repo) error {
	pin := r.Keys.Pin
	if pin == nil || pin.Generation == r.Settings.Generation {
		return nil
	}
	return savePin(credentials, follow(*pin, r))
}

func follow(pin repo.Pin, r *Repo) repo.Pin {
	pin.Generation, pin.Settings = r.Settings.Generation, r.SettingsSum
	return pin
}

// missingFrom are those of want that have lacks.
func missingFrom(have, want []string) []string {
	out := []string{}
	for _, name := range want {
		if !slices.Contains(have, name) {
			out = append(out, name)
		}
	}
	return out
}
