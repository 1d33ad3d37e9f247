package modpack_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"practicectl/internal/modpack"
	"practicectl/internal/uerr"
	"practicectl/release/archive"
	"practicectl/release/publish"
)

const source = "../../modules"

// install packs modules/NAME as the release does and unpacks it below opt.
func install(t *testing.T, opt, name string) string {
	t.Helper()
	var packed bytes.Buffer
	m := archive.Manifest{Schema: archive.Schema, Name: modpack.ComponentPrefix + name, Version: "1.0.0", OS: "any", Arch: "any"}
	if _, err := archive.Pack(context.Background(), &packed, m, os.DirFS(filepath.Join(source, name)), archive.Fast); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(opt, modpack.ComponentPrefix+name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Unpack(context.Background(), &packed, filepath.Join(dir, "1.0.0")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("1.0.0", filepath.Join(dir, "current")); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "1.0.0")
}

func TestEveryModuleOfTheProductIsWhole(t *testing.T) {
	entries, err := os.ReadDir(source)
	if err != nil {
		t.Fatal(err)
	}
	owner := map[string]string{}
	known := map[string]bool{}
	for _, e := range entries {
		known[e.Name()] = true
	}
	for _, want := range []string{"frontdesk", "clinical", "accounting", "admin", "reports"} {
		if !known[want] {
			t.Errorf("there is no module %s", want)
		}
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(source, e.Name(), modpack.FileName))
		if err != nil {
			t.Fatal(err)
		}
		m, err := modpack.Parse(data)
		if err != nil || m.Name != e.Name() {
			t.Errorf("%s: %q, %v", e.Name(), m.Name, err)
		}
		for _, f := range m.Features {
			if owner[f] != "" {
				t.Errorf("feature %s is in %s and %s", f, owner[f], m.Name)
			}
			owner[f] = m.Name
		}
		var components []string
		for _, r := range m.Requires {
			if !known[r] {
				t.Errorf("%s requires %s, which is not there", m.Name, r)
			}
			components = append(components, modpack.ComponentPrefix+r)
		}
		if _, required := publish.Describe(modpack.ComponentPrefix + m.Name); !slices.Equal(required, components) {
			t.Errorf("%s requires %v, its release requires %v", m.Name, components, required)
		}
	}
}

func TestT18_OnlyInstalledModulesAreThere(t *testing.T) {
	opt := t.TempDir()
	if ms, refused, err := modpack.Installed(filepath.Join(opt, "nothing")); err != nil || len(ms)+len(refused) != 0 {
		t.Errorf("%v %v %v", ms, refused, err)
	}
	install(t, opt, "frontdesk")
	install(t, opt, "clinical")
	if err := os.MkdirAll(filepath.Join(opt, "server", "1.0.0"), 0o755); err != nil {
		t.Fatal(err)
	}
	ms, refused, err := modpack.Installed(opt)
	if err != nil || len(refused) != 0 || len(ms) != 2 || ms[0].Name != "clinical" || ms[1].Name != "frontdesk" || ms[0].Version != "1.0.0" {
		t.Fatalf("%+v %v %v", ms, refused, err)
	}
	if ms[1].Title.In("de") != "Empfang" || ms[1].Title.In("fr") != "Front desk" {
		t.Errorf("%v", ms[1].Title)
	}
}

func TestChangedModuleIsRefusedAlone(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"one byte": func(dir string) error {
			path := filepath.Join(dir, modpack.FileName)
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			data[len(data)/2] ^= 1
			return os.WriteFile(path, data, 0o644)
		},
		"file added":   func(dir string) error { return os.WriteFile(filepath.Join(dir, "extra.js"), nil, 0o644) },
		"file removed": func(dir string) error { return os.Remove(filepath.Join(dir, modpack.FileName)) },
		"list removed": func(dir string) error { return os.Remove(filepath.Join(dir, archive.ManifestName)) },
	} {
		t.Run(name, func(t *testing.T) {
			opt := t.TempDir()
			install(t, opt, "admin")
			dir := install(t, opt, "frontdesk")
			install(t, opt, "reports") // needs frontdesk
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := change(dir); err != nil {
				t.Fatal(err)
			}
			ms, refused, err := modpack.Installed(opt)
			if err != nil || len(ms) != 1 || ms[0].Name != "admin" || len(refused) != 2 {
				t.Fatalf("%+v %v %v", ms, refused, err)
			}
			if k := uerr.KindOf(refused[0].Err); refused[0].Name != "frontdesk" || (k != uerr.Integrity && k != uerr.NotFound) {
				t.Errorf("%s: %v", refused[0].Name, refused[0].Err)
			}
			if refused[1].Name != "reports" || uerr.KindOf(refused[1].Err) != uerr.Precond || !strings.Contains(uerr.HintOf(refused[1].Err), "module-frontdesk") {
				t.Errorf("%s: %v", refused[1].Name, refused[1].Err)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	good, err := os.ReadFile(filepath.Join(source, "frontdesk", modpack.FileName))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"unknown key":    {"schema = 1", "schema = 1\nscript = \"x\""},
		"newer schema":   {"schema = 1", "schema = 2"},
		"bad name":       {`"frontdesk"`, `"../frontdesk"`},
		"needs itself":   {"requires = []", `requires = ["frontdesk"]`},
		"bad feature":    {`"records.patient"`, `"*"`},
		"other host":     {`"/patients"`, `"//evil.example"`},
		"script as path": {`"/patients"`, `"javascript:alert(1)"`},
		"no German":      {`de = "Empfang"`, `de = ""`},
	} {
		bad := strings.Replace(string(good), change[0], change[1], 1)
		if bad == string(good) {
			t.Fatalf("%s changes nothing", name)
		}
		if _, err := modpack.Parse([]byte(bad)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	good, err := os.ReadFile(filepath.Join(source, "frontdesk", modpack.FileName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := modpack.Parse(data)
		for _, n := range m.Nav {
			if err == nil && (!strings.HasPrefix(n.Path, "/") || strings.HasPrefix(n.Path, "//")) {
				t.Errorf("path %q", n.Path)
			}
		}
	})
}
