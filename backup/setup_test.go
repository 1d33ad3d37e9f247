package backup

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"practicectl/internal/objstore/dir"
	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// TestASetupThatWasCutOffAnywhereIsFinished leaves the files that a setup had written when it was killed, one more each time,
// and runs it again.
func TestASetupThatWasCutOffAnywhereIsFinished(t *testing.T) {
	recipients := twoRecipients(t)
	written := []string{pendingFile, "owner.pem", signingFile, indexFile}
	for n := range len(written) + 1 {
		home := t.TempDir()
		st, err := dir.Create(filepath.Join(home, "store"))
		if err != nil {
			t.Fatal(err)
		}
		o := SetupOptions{Credentials: home, OwnerKey: filepath.Join(home, "owner.pem"), InitOptions: InitOptions{Host: "h", Recipients: recipients, Now: time.Now()}}
		if _, err := begin(o); err != nil { // the first run, up to its pin
			t.Fatal(err)
		}
		owner, err := os.ReadFile(o.OwnerKey)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, pendingFile), announcement(o.OwnerKey, owner), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range append(written[n:], pinFile) {
			if err := os.Remove(filepath.Join(home, name)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Setup(t.Context(), st, o); err != nil {
			t.Errorf("after %d files: %v", n, err)
		}
		if _, err := os.Stat(filepath.Join(home, pendingFile)); !os.IsNotExist(err) {
			t.Errorf("after %d files: the announcement stays: %v", n, err)
		}
	}
}

func TestAKeyThatSomebodyElsePutThereIsNeverOverwritten(t *testing.T) {
	home := t.TempDir()
	o := SetupOptions{Credentials: home, OwnerKey: filepath.Join(home, "owner.pem"), InitOptions: InitOptions{Host: "h", Recipients: twoRecipients(t), Now: time.Now()}}
	if err := os.WriteFile(o.OwnerKey, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, pendingFile), announcement(o.OwnerKey, []byte("another key")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := begin(o); uerr.KindOf(err) != uerr.LossGuard {
		t.Errorf("got %v", err)
	}
	if data, err := os.ReadFile(o.OwnerKey); err != nil || string(data) != "precious" {
		t.Errorf("the key is %q, %v", data, err)
	}
}

func twoRecipients(t *testing.T) []string {
	t.Helper()
	var out []string
	for range 2 {
		id, err := sealed.NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, id.Recipient())
	}
	return out
}
