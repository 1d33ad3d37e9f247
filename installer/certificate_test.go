package installer

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"practicectl/internal/paths"
	"practicectl/internal/uerr"
)

// TestCertificateOnAReplacementMachine: the authority comes back with a restore and keeps the trust of the workstations,
// also on a machine of another name.
func TestCertificateOnAReplacementMachine(t *testing.T) {
	l := paths.Layout{Prefix: t.TempDir(), Instance: paths.DefaultInstance}
	now := time.Now()
	onMachine := func(hostname, url string) *job {
		return &job{i: New(Options{Layout: l, Hostname: hostname, Now: func() time.Time { return now }}), d: Desired{URL: url, Listen: "0.0.0.0:8443"}}
	}
	apply := func(j *job) error {
		return j.certificate().Apply(t.Context())
	}
	if err := os.MkdirAll(l.Cred(), 0o700); err != nil {
		t.Fatal(err)
	}
	old := onMachine("old", "https://old:8443")
	if err := authority(l.Cred(), "Practice", old.names(), now); err != nil {
		t.Fatal(err)
	}
	if err := apply(old); err != nil {
		t.Fatal(err)
	}
	replacement := onMachine("new", "https://old:8443")
	if err := apply(replacement); err != nil {
		t.Fatal("another machine name cannot be installed:", err)
	}
	c, err := readCertificate(filepath.Join(l.Cred(), TLSCert))
	if err != nil || !slices.Contains(c.DNSNames, "old") || slices.Contains(c.DNSNames, "new") {
		t.Fatal(c.DNSNames, err)
	}
	if err := apply(onMachine("new", "https://praxis.lan:8443")); err != nil {
		t.Fatal("a name of the local network is refused:", err)
	}
	if err := apply(onMachine("new", "https://new:8443")); uerr.KindOf(err) != uerr.Precond || uerr.HintOf(err) == "" {
		t.Fatal("a certificate that no workstation would accept was made:", err)
	}
}
