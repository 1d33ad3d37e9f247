package installer

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"practicectl/internal/uerr"
	"practicectl/release"
)

// The profiles: what a machine is for.
const (
	ProfileServer      = "server"      // database and core server
	ProfileWorkstation = "workstation" // client with modules
)

// Profiles lists them.
func Profiles() []string { return []string{ProfileServer, ProfileWorkstation} }

// Desired is what a machine should be. It holds no secrets: the journal keeps it.
type Desired struct {
	Profile    string   `json:"profile"`
	Components []string `json:"components,omitempty"` // besides those of the profile
	Modules    []string `json:"modules,omitempty"`    // "frontdesk", "clinical"
	Version    string   `json:"version,omitempty"`    // of the product; empty: what is installed, else the newest

	Provider string `json:"provider,omitempty"` // of PostgreSQL: "system" or "bundled"
	PGBin    string `json:"pg_bin,omitempty"`   // folder of a system PostgreSQL; empty: the newest found
	PGPort   int    `json:"pg_port,omitempty"`  // names the unix socket
	Database string `json:"database,omitempty"`
	Listen   string `json:"listen,omitempty"` // host:port of the core server
	URL      string `json:"url,omitempty"`    // what people and clients type

	Practice Practice `json:"practice"`
	Source   string   `json:"source"` // where releases come from
	Channel  string   `json:"channel"`
	Mode     string   `json:"mode"`
}

// Practice says whose installation it is.
type Practice struct {
	Name     string `json:"name"`
	Language string `json:"language"`
	Timezone string `json:"timezone"`
	Currency string `json:"currency"`
}

// ModulePrefix turns the name of a client module into that of its component.
const ModulePrefix = "module-"

// Modules lists the client modules of the product.
func Modules() []string {
	var names []string
	for _, c := range release.Components() {
		if m, ok := strings.CutPrefix(c, ModulePrefix); ok {
			names = append(names, m)
		}
	}
	return names
}

// Check refuses what cannot be installed. Error kind: Usage.
func (d Desired) Check() error {
	bad := func(subject string, err error) error {
		return uerr.New(uerr.Usage, "install", subject, err, "practicectl install --help")
	}
	if !slices.Contains(Profiles(), d.Profile) {
		return bad("profile "+d.Profile, fmt.Errorf("want one of %s", strings.Join(Profiles(), ", ")))
	}
	for _, m := range d.Modules {
		if !slices.Contains(Modules(), m) {
			return bad("module "+m, fmt.Errorf("want some of %s", strings.Join(Modules(), ", ")))
		}
	}
	for _, c := range d.Components {
		if !slices.Contains(release.Components(), c) {
			return bad(c, fmt.Errorf("want some of %s", strings.Join(release.Components(), ", ")))
		}
	}
	if !d.hasServer() {
		return nil
	}
	if _, _, err := net.SplitHostPort(d.Listen); err != nil {
		return bad("--listen "+d.Listen, err)
	}
	if u, err := url.Parse(d.URL); err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return bad("--url "+d.URL, errors.New("want https://host:port"))
	}
	return nil
}

func (d Desired) hasServer() bool {
	return d.Profile == ProfileServer || slices.Contains(d.Components, release.Server)
}

// wanted returns the components that were asked for, before their requirements.
func (d Desired) wanted() []string {
	names := []string{release.Practicectl}
	switch d.Profile {
	case ProfileServer:
		names = append(names, release.Postgres, release.Server)
	case ProfileWorkstation:
		names = append(names, release.Client)
	}
	names = append(names, d.Components...)
	for _, m := range d.Modules {
		names = append(names, ModulePrefix+m)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (d Desired) encode() string {
	data, err := json.Marshal(d)
	if err != nil {
		panic(err) // strings and ints always marshal
	}
	return string(data)
}
