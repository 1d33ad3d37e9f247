package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"practicectl/installer"
	"practicectl/internal/config"
	"practicectl/internal/uerr"
)

func TestAddressThatPeopleTypeFollowsTheOneThatIsListenedOn(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for listen, want := range map[string]string{
		"127.0.0.1:8443":  "https://localhost:8443",
		"[::1]:1":         "https://localhost:1",
		"0.0.0.0:8443":    "https://" + strings.ToLower(host) + ":8443",
		":8443":           "https://" + strings.ToLower(host) + ":8443",
		"192.168.1.5:443": "https://192.168.1.5:443",
		"Praxis.lan:443":  "https://praxis.lan:443",
	} {
		if got, err := urlFor(listen); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", listen, got, err, want)
		}
	}
	if _, err := urlFor("8443"); uerr.KindOf(err) != uerr.Usage {
		t.Error(err)
	}
}

func TestShellLineIsReadBackAsTheSameWords(t *testing.T) {
	for want, words := range map[string][]string{
		"practicectl --prefix /srv/x": {"practicectl", "--prefix", "/srv/x"},
		`a 'b c' '' 'it'\''s' '$x'`:   {"a", "b c", "", "it's", "$x"},
	} {
		if got := shellLine(words); got != want {
			t.Errorf("%q: %s, want %s", words, got, want)
		}
	}
}

func TestModulesAreNamedWithOrWithoutTheirPrefix(t *testing.T) {
	names, err := componentNames([]string{"frontdesk", "module-clinical", "server"})
	if err != nil || !slices.Equal(names, []string{"module-frontdesk", "module-clinical", "server"}) {
		t.Fatal(names, err)
	}
	if _, err := componentNames([]string{"../server"}); uerr.KindOf(err) != uerr.Usage {
		t.Fatal(err)
	}
	var d installer.Desired
	addComponents(&d, append(names, names...))
	if !slices.Equal(d.Modules, []string{"clinical", "frontdesk"}) || !slices.Equal(d.Components, []string{"server"}) {
		t.Fatalf("%+v", d)
	}
}

// TestInstallKeepsWhatOthersConfigured: the installer owns its keys of practice.toml and no others.
func TestInstallKeepsWhatOthersConfigured(t *testing.T) {
	path := filepath.Join(t.TempDir(), "practice.toml")
	f := config.Default()
	f.Backup.Limit, f.Update.Keep = "2MiB/s", 5
	if err := config.Save(path, &f); err != nil {
		t.Fatal(err)
	}
	s := settingsFile{path}
	d := desiredOf(&f)
	if same, err := s.Match(d); err != nil || !same {
		t.Fatal(same, err)
	}
	d.Practice.Name, d.Modules = "Praxis Huber", []string{"frontdesk"}
	if same, err := s.Match(d); err != nil || same {
		t.Fatal(same, err)
	}
	if err := s.Write(d); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(path)
	if err != nil || got.Practice.Name != "Praxis Huber" || got.Backup.Limit != "2MiB/s" || got.Update.Keep != 5 {
		t.Fatalf("%+v %v", got, err)
	}
	if same, err := s.Match(d); err != nil || !same {
		t.Fatal(same, err)
	}
}
