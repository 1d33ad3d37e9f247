//go:build linux

package installer

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"practicectl/internal/pgcluster"
)

// TestO5_RestoredInstanceIsPutIntoServiceOnAnotherMachine: configuration and data folder come back from a snapshot, the rest
// does not, and the other machine runs its services as another account.
func TestO5_RestoredInstanceIsPutIntoServiceOnAnotherMachine(t *testing.T) {
	c := newClinic(t)
	c.install(t)
	before, err := pgcluster.ReadControl(c.Layout.PGData())
	if err != nil {
		t.Fatal(err)
	}
	fingerprint, err := FingerprintOf(filepath.Join(c.Layout.Cred(), CACertFile))
	if err != nil {
		t.Fatal(err)
	}
	i := New(c.Options)
	if _, err := i.Uninstall(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	aside := filepath.Join(c.Layout.Prefix, "restored")
	for _, err := range []error{os.Rename(c.Layout.PGData(), aside), os.RemoveAll(c.Layout.Var()), os.MkdirAll(c.Layout.Var(), 0o700), os.Rename(aside, c.Layout.PGData())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ident := filepath.Join(c.Layout.PGData(), "pg_ident.conf")
	accounts, err := os.ReadFile(ident)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ident, regexp.MustCompile(`"[^"]+"`).ReplaceAll(accounts, []byte(`"somebody"`)), 0o600); err != nil {
		t.Fatal(err)
	}

	rep := c.install(t)
	after, err := pgcluster.ReadControl(c.Layout.PGData())
	if err != nil || after.SystemID != before.SystemID {
		t.Fatal("the restored data were not adopted", err)
	}
	if rep.CAFingerprint != fingerprint {
		t.Fatal("the workstations would have to trust another authority")
	}
	if f, err := New(c.Options).Verify(t.Context(), nil); err != nil {
		t.Fatal(f, err)
	}
	if again := c.install(t); again.Changes != 0 {
		t.Fatalf("the second run changed something: %+v", again)
	}
}
