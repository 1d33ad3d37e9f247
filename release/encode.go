package release

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// IndexSchema is the version of the index format that this program reads and writes.
const IndexSchema = 1

// Bounds of an index. They keep a signed mistake from filling a client's memory.
const (
	MaxIndexBytes = 1 << 20
	MaxReleases   = 24
	maxNotes      = 32 << 10
)

// ErrNewerFormat says that the file was made for a newer program.
var ErrNewerFormat = errors.New("made for a newer version of this program")

// ParseIndex decodes and checks the index of a role. Fields it does not know are ignored, so that old clients read
// what newer publishers add; everything it knows must be right.
func ParseIndex(role string, data []byte) (Index, error) {
	var ix Index
	if len(data) > MaxIndexBytes {
		return ix, fmt.Errorf("index of %s: larger than %d bytes", role, MaxIndexBytes)
	}
	if err := decodeOne(data, &ix); err != nil {
		return Index{}, fmt.Errorf("index of %s: %w", role, err)
	}
	if ix.Schema > IndexSchema {
		return Index{}, fmt.Errorf("index of %s: format %d: %w", role, ix.Schema, ErrNewerFormat)
	}
	if ix.Channel != role {
		return Index{}, fmt.Errorf("index of %s: it is the index of %q", role, ix.Channel)
	}
	if err := ix.Check(); err != nil {
		return Index{}, fmt.Errorf("index of %s: %w", role, err)
	}
	return ix, nil
}

// Encode sorts, checks and encodes the index. The same index always gives the same bytes.
func (ix Index) Encode() ([]byte, error) {
	ix.Schema = IndexSchema
	ix.Releases = slices.Clone(ix.Releases)
	slices.SortStableFunc(ix.Releases, func(a, b Release) int { return CompareVersions(b.Version, a.Version) })
	for i := range ix.Releases {
		r := &ix.Releases[i]
		r.Date = r.Date.UTC().Truncate(time.Second)
		if r.MandatoryAfter != nil {
			t := r.MandatoryAfter.UTC().Truncate(time.Second)
			r.MandatoryAfter = &t
		}
		r.Components = slices.Clone(r.Components)
		slices.Sort(r.Components)
	}
	ix.Latest = ix.newest()
	if err := ix.Check(); err != nil {
		return nil, fmt.Errorf("index of %s: %w", ix.Channel, err)
	}
	data, err := json.MarshalIndent(ix, "", "  ")
	if err != nil {
		return nil, err
	}
	if len(data) >= MaxIndexBytes {
		return nil, fmt.Errorf("index of %s: larger than %d bytes", ix.Channel, MaxIndexBytes)
	}
	return append(data, '\n'), nil
}

func (ix Index) newest() string {
	latest := ""
	for _, r := range ix.Releases {
		if _, revoked := ix.RevocationOf("", r.Version); !revoked && (latest == "" || CompareVersions(r.Version, latest) > 0) {
			latest = r.Version
		}
	}
	return latest
}

// Check says what is wrong with an index.
func (ix Index) Check() error {
	if len(ix.Releases) > MaxReleases {
		return fmt.Errorf("%d releases; at most %d are kept", len(ix.Releases), MaxReleases)
	}
	seen := map[string]bool{}
	for _, r := range ix.Releases {
		if seen[r.Version] {
			return fmt.Errorf("release %s is listed twice", r.Version)
		}
		seen[r.Version] = true
		if err := r.Check(); err != nil {
			return err
		}
	}
	if ix.Latest != "" && !seen[ix.Latest] {
		return fmt.Errorf("latest is %.40q, which is not listed", ix.Latest)
	}
	for c, v := range ix.Floors {
		if !ValidComponent(c) || !ValidVersion(v) {
			return fmt.Errorf("floor %.40q of %.40q", v, c)
		}
	}
	for _, r := range ix.Revoked {
		if !ValidVersion(r.Version) || (r.Component != "" && !ValidComponent(r.Component)) || (r.RollbackTo != "" && !ValidVersion(r.RollbackTo)) {
			return fmt.Errorf("revocation of %.40q", r.Version)
		}
	}
	return nil
}

// Check says what is wrong with a release.
func (r Release) Check() error {
	bad := func(what string) error { return fmt.Errorf("release %.40q: %s", r.Version, what) }
	switch {
	case !ValidVersion(r.Version):
		return bad("not a version")
	case r.Date.IsZero():
		return bad("no date")
	case r.Kind != Major && r.Kind != Minor:
		return bad("kind is neither major nor minor")
	case r.Severity != Security && r.Severity != Fix && r.Severity != Feature:
		return bad("severity is not security, fix or feature")
	case r.MinFrom != "" && (!ValidVersion(r.MinFrom) || CompareVersions(r.MinFrom, r.Version) > 0):
		return bad("min_from is not an older version")
	case r.NoticeDays < 0 || r.NoticeDays > 365:
		return bad("notice_days")
	case r.DB.SchemaFrom < 0 || r.DB.SchemaTo < r.DB.SchemaFrom:
		return bad("schema range")
	case len(r.Notes) > maxNotes:
		return bad("notes are longer than 32 KiB")
	case len(r.Components) == 0:
		return bad("no components")
	}
	for i, c := range r.Components {
		if !ValidComponent(c) || slices.Contains(r.Components[:i], c) {
			return bad("component list")
		}
	}
	last := RolloutStep{AfterHours: -1}
	for _, s := range r.Rollout {
		if s.AfterHours <= last.AfterHours || s.Permille < last.Permille || s.Permille > 1000 {
			return bad("rollout steps must rise, up to 1000 permille")
		}
		last = s
	}
	return nil
}

// custom is the signed description of a target inside role metadata. Integers and strings only: canonical JSON has no
// fractions.
type custom struct {
	Component string `json:"component"`
	Version   string `json:"version"`
	OS        string `json:"os"`
	Arch      string `json:"arch"`
	Kind      string `json:"kind"`
	Enc       string `json:"enc,omitempty"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`
}

// Custom encodes what role metadata says about the target besides its length and hash.
func (t Target) Custom() (json.RawMessage, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	return json.Marshal(custom{t.Component, t.Version, t.OS, t.Arch, t.Kind, t.Enc, t.Size, t.ContentSHA256})
}

// ParseTarget joins the signed parts of a target and checks that its name says the same as its description.
func ParseTarget(path string, length int64, sha256 string, raw []byte) (Target, error) {
	var c custom
	if err := decodeOne(raw, &c); err != nil {
		return Target{}, fmt.Errorf("target %.80q: %w", path, err)
	}
	t := Target{Path: path, Component: c.Component, Version: c.Version, OS: c.OS, Arch: c.Arch, Kind: c.Kind, Enc: c.Enc,
		Length: length, SHA256: sha256, Size: c.Size, ContentSHA256: c.SHA256}
	return t, t.Check()
}

// Check says what is wrong with a target.
func (t Target) Check() error {
	if err := CheckPath(t.Path); err != nil {
		return err
	}
	bad := func(what string) error { return fmt.Errorf("target %q: %s", t.Path, what) }
	role, ok := RoleOf(t.Path)
	switch {
	case !ok:
		return bad("not in a known role")
	case !ValidComponent(t.Component) || !ValidVersion(t.Version):
		return bad("component or version")
	case !platformShape.MatchString(t.OS) || !platformShape.MatchString(t.Arch):
		return bad("operating system or architecture")
	case t.Length < 0 || t.Size < 0:
		return bad("length")
	case !sha256Shape.MatchString(t.SHA256):
		return bad("needs exactly one hash, sha256")
	case t.Kind == KindFull && (t.Enc != EncTarZst || !sha256Shape.MatchString(t.ContentSHA256)):
		return bad("encoding or content hash")
	case t.Kind == KindFull && t.Path != ArchivePath(role, t.Component, t.Version, t.OS, t.Arch):
		return bad("its name does not say what it holds")
	}
	return nil
}

// decodeOne decodes exactly one JSON value.
func decodeOne(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}
