package installer

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestServerCertificateHoldsForItsNamesAndItsTime(t *testing.T) {
	dir, now := t.TempDir(), time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	names := serverNames("server-1", "https://praxis-huber.example:8443", "192.168.1.5:8443")
	if want := []string{"localhost", "127.0.0.1", "::1", "server-1", "praxis-huber.example", "192.168.1.5"}; !slices.Equal(names, want) {
		t.Fatal(names)
	}
	if checkCertificate(dir, names, now) == nil {
		t.Fatal("there is none yet")
	}
	if err := authority(dir, "Praxis Müller", names, now); err != nil {
		t.Fatal(err)
	}
	if err := serverCertificate(dir, names, now); err != nil {
		t.Fatal(err)
	}
	if err := checkCertificate(dir, names, now); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]error{
		"another name":    checkCertificate(dir, []string{"other"}, now),
		"a year later":    checkCertificate(dir, names, now.AddDate(1, 0, 0)), // valid still, but it is time for a new one
		"before its time": checkCertificate(dir, names, now.AddDate(0, 0, -1)),
	} {
		if bad == nil {
			t.Errorf("%s is taken for right", name)
		}
	}
	// The chain that the server sends holds the authority, so that its fingerprint identifies the server.
	text, err := os.ReadFile(filepath.Join(dir, TLSCert))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, CACertFile))
	if err != nil || !bytes.HasSuffix(text, ca) {
		t.Fatal("the authority is not sent along", err)
	}
	// Another practice's authority in its place.
	if err := authority(dir, "Other", names, now); err != nil {
		t.Fatal(err)
	}
	if checkCertificate(dir, names, now) == nil {
		t.Fatal("a certificate of another authority is taken for right")
	}
}

func TestAuthorityIsTrustedForTheLocalNetworkOnly(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	if err := authority(dir, "", []string{"server-1"}, now); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"server-1": true, "praxis.lan": true, "10.1.2.3": true, "bank.example.com": false, "8.8.8.8": false} {
		if err := serverCertificate(dir, []string{name}, now); err != nil {
			t.Fatal(err)
		}
		if err := checkCertificate(dir, []string{name}, now); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, CACertFile))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !c.IsCA || !c.MaxPathLenZero || c.NotAfter.Sub(now) < 9*365*24*time.Hour {
		t.Fatalf("%+v %v", c, err)
	}
}
