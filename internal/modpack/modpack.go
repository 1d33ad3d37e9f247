// Package modpack reads the client modules that are installed on a machine, and refuses one that was changed.
//
// A module pack is data: module.toml says what it is called, which features of the server it shows and which modules it
// needs. It is installed as the component "module-NAME", whose component.json lists the SHA-256 of every file and came
// through the signed release.
package modpack

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"practicectl/internal/uerr"
	"practicectl/release/archive"
)

const (
	// FileName is the description in a module pack.
	FileName = "module.toml"
	// ComponentPrefix turns a module's name into its component's.
	ComponentPrefix = "module-"

	schema      = 1
	maxFileSize = 64 << 10 // bytes of module.toml
)

// Languages that every text of a module must have.
func Languages() []string { return []string{"de", "en"} }

// Text is one text in every language of the product.
type Text map[string]string

// In returns the text in lang, or in English when there is none.
func (t Text) In(lang string) string {
	if s, ok := t[lang]; ok {
		return s
	}
	return t["en"]
}

// Module is what module.toml says.
type Module struct {
	Schema   int      `toml:"schema" json:"-"`
	Name     string   `toml:"name" json:"name"`
	Requires []string `toml:"requires" json:"requires"` // names of modules
	Features []string `toml:"features" json:"features"` // keys of the server's features, such as "records.patient"
	Title    Text     `toml:"title" json:"title"`
	Summary  Text     `toml:"summary" json:"summary"`
	Nav      []Nav    `toml:"nav" json:"nav"`

	Version string `toml:"-" json:"version"` // of the installed component; empty from Parse
}

// Nav is one entry of the navigation.
type Nav struct {
	Path  string `toml:"path" json:"path"` // on the server, beginning with "/"
	Title Text   `toml:"title" json:"title"`
}

var (
	nameForm    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)
	featureForm = regexp.MustCompile(`^[a-z]+(\.[a-z_]+)+$`)
	pathForm    = regexp.MustCompile(`^/[a-z0-9/-]*$`)
)

// Parse reads and checks the bytes of module.toml. Unknown keys are errors.
func Parse(data []byte) (Module, error) {
	var m Module
	if len(data) > maxFileSize {
		return m, errors.New("it is too large")
	}
	if err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&m); err != nil {
		var strict *toml.StrictMissingError
		if errors.As(err, &strict) && len(strict.Errors) > 0 {
			return m, fmt.Errorf("unknown key %s", strings.Join(strict.Errors[0].Key(), "."))
		}
		return m, err
	}
	return m, m.check()
}

func (m Module) check() error {
	switch {
	case m.Schema != schema:
		return fmt.Errorf("schema %d, want %d: it was made for another version", m.Schema, schema)
	case !nameForm.MatchString(m.Name):
		return fmt.Errorf("name %q", m.Name)
	}
	for _, n := range m.Requires {
		if !nameForm.MatchString(n) || n == m.Name {
			return fmt.Errorf("requires %q", n)
		}
	}
	if len(m.Features) == 0 {
		return errors.New("no features")
	}
	for i, f := range m.Features {
		if !featureForm.MatchString(f) || slices.Contains(m.Features[:i], f) {
			return fmt.Errorf("feature %q", f)
		}
	}
	for _, n := range m.Nav {
		if !pathForm.MatchString(n.Path) || strings.Contains(n.Path, "//") {
			return fmt.Errorf("path %q", n.Path)
		}
		if err := n.Title.check("title of " + n.Path); err != nil {
			return err
		}
	}
	return errors.Join(m.Title.check("title"), m.Summary.check("summary"))
}

func (t Text) check(what string) error {
	for _, lang := range Languages() {
		if strings.TrimSpace(t[lang]) == "" {
			return fmt.Errorf("%s: no text in %q", what, lang)
		}
	}
	return nil
}

// Open verifies the installed module in dir, byte by byte, and reads it. Error kinds: NotFound, Integrity.
func Open(dir string) (Module, error) {
	const op = "open the module in"
	dir, err := filepath.EvalSymlinks(dir) // "current"; the version must not change between the two steps
	if errors.Is(err, fs.ErrNotExist) {
		return Module{}, uerr.New(uerr.NotFound, op, dir, err, "practicectl component list")
	}
	if err != nil {
		return Module{}, uerr.New(uerr.Failed, op, dir, err, "")
	}
	if err := archive.VerifyDir(dir); err != nil {
		return Module{}, err
	}
	component, err := archive.ReadManifest(dir)
	if err != nil {
		return Module{}, err
	}
	data, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		return Module{}, uerr.New(uerr.Integrity, op, dir, err, "practicectl component verify")
	}
	m, err := Parse(data)
	if err == nil && ComponentPrefix+m.Name != component.Name {
		err = fmt.Errorf("it calls itself %q and lies in the component %q", m.Name, component.Name)
	}
	if err != nil {
		return Module{}, uerr.New(uerr.Integrity, op, dir, fmt.Errorf("%s: %w", FileName, err), "practicectl component verify")
	}
	m.Version = component.Version
	return m, nil
}
