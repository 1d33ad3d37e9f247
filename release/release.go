// Package release is the words of a release: component, version, channel, target, index, and who may install what.
//
// It is pure: no clock, no files, no network. What it parses has already been verified by release/trust, and what it
// encodes is what release/publish signs. The formats are written down in docs/formats/release.md.
package release

import (
	"slices"
	"time"
)

// Channels a client can follow. Deps is not followed: every client reads it beside its own channel.
const (
	Stable = "stable"
	LTS    = "lts"
	Beta   = "beta"
	Deps   = "deps"
)

// Roles are the delegated roles of a repository, in the order in which they are asked.
func Roles() []string { return []string{Stable, LTS, Deps, Beta} }

// IsChannel reports whether s is a channel that a client can follow.
func IsChannel(s string) bool { return s == Stable || s == LTS || s == Beta }

// Components of the product. They share the product's version; Postgres has its own, in the deps role.
const (
	Practicectl = "practicectl"
	Server      = "server"
	Client      = "client"
	Relay       = "relay"
	Postgres    = "postgresql"
	FrontDesk   = "module-frontdesk"
	Clinical    = "module-clinical"
	Accounting  = "module-accounting"
	Admin       = "module-admin"
	Reports     = "module-reports"
)

// Components returns the names of all components, sorted.
func Components() []string {
	return []string{Client, Accounting, Admin, Clinical, FrontDesk, Reports, Postgres, Practicectl, Relay, Server}
}

// Any is the operating system and architecture of a component that runs everywhere, such as a module pack.
const Any = "any"

// Kinds of targets.
const (
	KindFull = "full" // a whole component archive
	KindSBOM = "sbom"
)

// EncTarZst is the only encoding of component archives.
const EncTarZst = "tar.zst"

// Target is one signed file of a repository.
type Target struct {
	Path      string `json:"path"` // "stable/server/1.0.0/linux-amd64/server.tar.zst"
	Component string `json:"component"`
	Version   string `json:"version"`
	OS        string `json:"os"`   // GOOS or "any"
	Arch      string `json:"arch"` // GOARCH or "any"
	Kind      string `json:"kind"`
	Enc       string `json:"enc,omitempty"`

	Length int64  `json:"length"` // bytes of the stored file
	SHA256 string `json:"sha256"` // of the stored file, lower-case hex

	Size          int64  `json:"size"`           // bytes of all files after unpacking
	ContentSHA256 string `json:"content_sha256"` // of component.json, which names the hash of every file
}

// Severities of a release, mildest first.
const (
	Feature  = "feature"
	Fix      = "fix"
	Security = "security"
)

// Release kinds. A major release is never installed unattended unless it is mandatory.
const (
	Major = "major"
	Minor = "minor"
)

// Release is one version of the product, or of one dependency, in a channel.
type Release struct {
	Version        string        `json:"v"`
	Date           time.Time     `json:"date"` // UTC; the rollout counts from here
	Kind           string        `json:"kind"` // "major" or "minor"
	Severity       string        `json:"severity"`
	MinFrom        string        `json:"min_from,omitempty"`        // oldest version that may go here directly
	MandatoryAfter *time.Time    `json:"mandatory_after,omitempty"` // from then on rollout and deferral end
	NoticeDays     int           `json:"notice_days,omitempty"`     // notes are shown this long before an install
	DB             DB            `json:"db"`
	Notes          string        `json:"notes,omitempty"` // complete release notes, Markdown
	Rollout        []RolloutStep `json:"rollout,omitempty"`
	Components     []string      `json:"components"`
}

// DB says what a release does to the database schema.
type DB struct {
	SchemaFrom         int  `json:"schema_from,omitempty"` // oldest schema its migrations start from
	SchemaTo           int  `json:"schema_to,omitempty"`   // schema after migrating
	BackwardCompatible bool `json:"backward_compatible"`   // the previous release runs on SchemaTo
}

// RolloutStep opens a release to a share of all hosts after a time.
type RolloutStep struct {
	AfterHours int `json:"after_h"`
	Permille   int `json:"permille"` // 0 to 1000
}

// Revocation takes a version back.
type Revocation struct {
	Version    string `json:"v"`
	Component  string `json:"component,omitempty"` // empty: the whole release
	Reason     string `json:"reason"`
	RollbackTo string `json:"rollback_to,omitempty"` // where hosts that have it should go; empty: forward only
}

// Index is what a channel offers. It is itself a signed target: "<channel>/index.json".
type Index struct {
	Schema   int               `json:"schema"`
	Channel  string            `json:"channel"`
	Latest   string            `json:"latest"` // newest version that is not revoked
	Releases []Release         `json:"releases"`
	Floors   map[string]string `json:"floors,omitempty"` // component → oldest version allowed to run
	Revoked  []Revocation      `json:"revoked,omitempty"`
}

// Release returns the release of a version.
func (ix Index) Release(version string) (Release, bool) {
	for _, r := range ix.Releases {
		if r.Version == version {
			return r, true
		}
	}
	return Release{}, false
}

// RevocationOf returns why a version of a component was taken back.
func (ix Index) RevocationOf(component, version string) (Revocation, bool) {
	for _, r := range ix.Revoked {
		if r.Version == version && (r.Component == "" || r.Component == component) {
			return r, true
		}
	}
	return Revocation{}, false
}

// LatestOf returns the newest version that holds the component and is not revoked; "" when there is none.
func (ix Index) LatestOf(component string) string {
	latest := ""
	for _, r := range ix.Releases {
		if !slices.Contains(r.Components, component) {
			continue
		}
		if _, revoked := ix.RevocationOf(component, r.Version); revoked {
			continue
		}
		if latest == "" || CompareVersions(r.Version, latest) > 0 {
			latest = r.Version
		}
	}
	return latest
}
