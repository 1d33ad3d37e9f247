package cli

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"practicectl/installer"
	"practicectl/internal/config"
	"practicectl/internal/paths"
	"practicectl/internal/uerr"
	"practicectl/release/archive"
	"practicectl/updater"
)

func TestAProgramsOwnReasonIsTold(t *testing.T) {
	for said, want := range map[string]string{
		"practice-server: reach the database: refused\nhint: practicectl db status\n":       "reach the database: refused",
		"{\"level\":\"INFO\"}\npractice-server: migrate: column is missing\nhint: look\n\n": "migrate: column is missing",
		"panic: x\ngoroutine 1\n": "goroutine 1",
		"":                        "",
	} {
		if got := told("practice-server", said).Error(); got != want {
			t.Errorf("%q: got %q, want %q", said, got, want)
		}
	}
}

func TestReceiptsFollowTheSwitch(t *testing.T) {
	l := instanceWith(t, nil)
	dir := filepath.Join(l.Component("server"), "1.1.0")
	m := archive.Manifest{Schema: archive.Schema, Name: "server", Version: "1.1.0", OS: "any", Arch: "any", Requires: []string{"postgresql"}, Files: []archive.File{}}
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	before := installer.Receipt{Component: "server", Version: "1.0.0", Provider: "release", Dir: filepath.Join(l.Component("server"), "1.0.0"),
		Services: []string{"server"}, Ports: map[string]int{"https": 8443}, Asked: true}
	err = errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, archive.ManifestName), data, 0o644), installer.WriteReceipt(l.Receipts(), before))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC)
	s := &services{l: l, now: func() time.Time { return at }}
	// module-reports has no receipt: it was put there without the installer.
	tr := updater.Transition{To: "1.1.0", Components: map[string]string{"server": "1.0.0", "module-reports": "1.0.0"}}
	for range 2 {
		if err := s.receipts(t.Context(), tr); err != nil {
			t.Fatal(err)
		}
	}
	got, err := installer.ReadReceipt(l.Receipts(), "server")
	if err != nil || got.Version != "1.1.0" || got.Dir != dir || len(got.FilesSHA256) != 64 || !got.Installed.Equal(at) || !got.Asked ||
		got.Prev == "" || !slices.Equal(got.Requires, []string{"postgresql"}) || got.Ports["https"] != 8443 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := installer.ReadReceipt(l.Receipts(), "module-reports"); uerr.KindOf(err) != uerr.NotFound {
		t.Errorf("a receipt came out of nothing: %v", err)
	}
}

func TestOtherInstancesWithADatabaseAreFound(t *testing.T) {
	l := instanceWith(t, nil)
	for _, name := range []string{"second", "third"} {
		other, err := paths.New(l.Prefix, name)
		if err == nil {
			f := config.Default()
			err = errors.Join(os.MkdirAll(other.Etc(), 0o755), config.Save(other.Config(), &f))
		}
		if err == nil && name == "second" {
			err = errors.Join(os.MkdirAll(other.PGData(), 0o700), os.WriteFile(filepath.Join(other.PGData(), "PG_VERSION"), []byte("18\n"), 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, err := otherInstances(l); !slices.Equal(got, []string{"second"}) || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}
