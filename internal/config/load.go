package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
)

// Default returns the settings of an instance that nobody configured.
func Default() File {
	return File{
		Schema:   Schema,
		Practice: Practice{Language: "de", Timezone: "Europe/Vienna", Currency: "EUR"},
		Database: Database{Provider: "system", Port: 5433, Name: "practice"},
		Server:   Server{Listen: "127.0.0.1:8443", URL: "https://localhost:8443"},
		Update:   Update{Channel: "stable", Mode: "lan", Keep: 2},
		Backup:   Backup{FullEvery: 28, Keep: Keep{Daily: 14, Weekly: 8, Monthly: 24, LeastDays: 7, LogDays: 14}},
		Drill:    Drill{RTO: "72h", RPO: "24h"},
		Mirror:   Mirror{Listen: "127.0.0.1:8080"},
		Agent:    Agent{Services: []string{"database", "server"}},
	}
}

// Load reads and validates the file at path. Error kinds: NotFound when there is none, Config with line and column
// when it is wrong.
func Load(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, uerr.New(uerr.NotFound, "read the configuration", path, errors.New("no such instance on this machine"),
			"install it: practicectl install --from DIR|URL, or name another: --prefix DIR -i NAME")
	}
	if err != nil {
		return nil, uerr.New(uerr.Config, "read the configuration", path, err, "")
	}
	f, err := Parse(data)
	if err != nil {
		return nil, uerr.New(uerr.Config, "read the configuration", path, err, "correct the file, then: practicectl config validate")
	}
	return f, nil
}

// Parse reads a configuration over the defaults. Unknown keys are errors.
func Parse(data []byte) (*File, error) {
	f := Default()
	dec := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, explain(err)
	}
	if err := f.Validate(); err != nil {
		return nil, err
	}
	return &f, nil
}

// explain turns the decoder's errors into "line 3, column 1: unknown key "prot", did you mean "port"?".
func explain(err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) && len(strict.Errors) > 0 {
		first := strict.Errors[0]
		row, col := first.Position()
		key := strings.Join(first.Key(), ".")
		msg := fmt.Sprintf("line %d, column %d: unknown key %q", row, col, key)
		if near := nearest(key, Keys()); near != "" {
			msg += fmt.Sprintf(", did you mean %q?", near)
		}
		return errors.New(msg)
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		row, col := bad.Position()
		return fmt.Errorf("line %d, column %d: %s", row, col, strings.TrimPrefix(bad.Error(), "toml: "))
	}
	return err
}

// Save validates f and writes it at path, whole or not at all.
func Save(path string, f *File) error {
	if err := f.Validate(); err != nil {
		return uerr.New(uerr.Config, "save the configuration", path, err, "")
	}
	err := atomicfile.Write(path, 0o640, func(w io.Writer) error {
		if _, err := io.WriteString(w, "# One instance of the practice. Secrets are files in cred/, never in here.\n"); err != nil {
			return err
		}
		enc := toml.NewEncoder(w)
		enc.SetArraysMultiline(true)
		return enc.Encode(f)
	})
	if err != nil {
		return uerr.New(uerr.Failed, "save the configuration", path, err, "")
	}
	return nil
}
