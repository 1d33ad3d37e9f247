// Package relay is the public side of web appointments: it holds ciphertext only and never dials anybody.
package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"practicectl/internal/uerr"
)

const schema = 1

// Config is relay.toml.
type Config struct {
	Schema  int    `toml:"schema" json:"schema"`
	Listen  string `toml:"listen" json:"listen"`     // host:port
	TLSCert string `toml:"tls_cert" json:"tls_cert"` // PEM file; empty with tls_key: plain HTTP, only on a loopback address behind a TLS proxy
	TLSKey  string `toml:"tls_key" json:"tls_key"`
}

// Load reads and checks the configuration at path. Error kinds: NotFound, Config.
func Load(path string) (Config, error) {
	const op = "read the configuration"
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, uerr.New(uerr.NotFound, op, path, errors.New("there is no such file"), "name it: --config FILE")
	}
	if err != nil {
		return Config{}, uerr.New(uerr.Config, op, path, err, "")
	}
	c, err := Parse(data)
	if err != nil {
		return Config{}, uerr.New(uerr.Config, op, path, err, "correct the file, then: practice-relay config --config FILE")
	}
	return c, nil
}

// Parse reads a configuration over the defaults. Unknown keys are errors.
func Parse(data []byte) (Config, error) {
	c := Config{Schema: schema, Listen: "127.0.0.1:8095"}
	if err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&c); err != nil {
		var strict *toml.StrictMissingError
		if errors.As(err, &strict) && len(strict.Errors) > 0 {
			row, _ := strict.Errors[0].Position()
			return c, fmt.Errorf("line %d: unknown key %s", row, strings.Join(strict.Errors[0].Key(), "."))
		}
		return c, err
	}
	return c, c.check()
}

func (c Config) check() error {
	if c.Schema != schema {
		return fmt.Errorf("schema %d, want %d", c.Schema, schema)
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen %q: want host:port", c.Listen)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("tls_cert and tls_key belong together")
	}
	if ip := net.ParseIP(host); c.TLSCert == "" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("listen %q without tls_cert: what patients send would cross the network readable", c.Listen)
	}
	return nil
}

// Handler answers the relay's public side. Everything but the health probe is 404.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n")) // a probe that hung up needs no answer
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}
