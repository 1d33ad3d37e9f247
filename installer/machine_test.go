package installer

import (
	"os"
	"testing"

	"practicectl/internal/paths"
	"practicectl/release"
)

// TestUninstalledMachineBecomesWhatItWas: installing again without a profile must not make a server of a workstation.
func TestUninstalledMachineBecomesWhatItWas(t *testing.T) {
	for had, want := range map[string]string{release.Client: ProfileWorkstation, release.Server: ProfileServer, "": ProfileServer} {
		l := paths.Layout{Prefix: t.TempDir(), Instance: paths.DefaultInstance}
		if err := os.MkdirAll(l.Receipts(), 0o750); err != nil {
			t.Fatal(err)
		}
		if had != "" {
			if err := os.WriteFile(putAway(receiptPath(l.Receipts(), had)), nil, 0o640); err != nil {
				t.Fatal(err)
			}
		}
		if d, err := OnMachine(l, Desired{}); err != nil || d.Profile != want {
			t.Errorf("after %q: %q, want %q (%v)", had, d.Profile, want, err)
		}
	}
}
