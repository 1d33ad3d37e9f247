package publish

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"practicectl/internal/uerr"
	"practicectl/release"
)

// state is what a repository publishes now: what its timestamp.json leads to. Files that no timestamp leads to are
// left-overs of an interrupted publication.
type state struct {
	dir       string
	timestamp *metadata.Metadata[metadata.TimestampType]
	snapshot  *metadata.Metadata[metadata.SnapshotType]
	targets   *metadata.Metadata[metadata.TargetsType]
	roles     map[string]*metadata.Metadata[metadata.TargetsType]
}

// readState reads a repository. One without a timestamp.json is new and has no versions yet. Error kind: Integrity.
func readState(dir string) (*state, error) {
	s := &state{dir: dir, roles: map[string]*metadata.Metadata[metadata.TargetsType]{}}
	_, err := os.Stat(s.file("timestamp.json"))
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = s.read()
	}
	if err != nil {
		return nil, uerr.New(uerr.Integrity, "read the repository in", dir, err, "practicectl release verify "+dir)
	}
	return s, nil
}

func (s *state) file(name string) string { return filepath.Join(s.dir, "metadata", name) }

func (s *state) read() (err error) {
	if s.timestamp, err = metadata.Timestamp().FromFile(s.file("timestamp.json")); err != nil {
		return err
	}
	m := s.timestamp.Signed.Meta["snapshot.json"]
	if m == nil {
		return errors.New("timestamp.json names no snapshot")
	}
	if s.snapshot, err = metadata.Snapshot().FromFile(s.file(numbered(m.Version, Snapshot))); err != nil {
		return err
	}
	for name, m := range s.snapshot.Signed.Meta {
		role := name[:len(name)-len(".json")]
		t, err := metadata.Targets().FromFile(s.file(numbered(m.Version, role)))
		if err != nil {
			return err
		}
		if t.Signed.Version != m.Version {
			return fmt.Errorf("%s is not version %d", name, m.Version)
		}
		if role == Targets {
			s.targets = t
		} else {
			s.roles[role] = t
		}
	}
	if s.targets == nil {
		return errors.New("no targets role")
	}
	return nil
}

// version is the published version of a role, 0 when there is none.
func (s *state) version(role string) int64 {
	switch {
	case role == Timestamp && s.timestamp != nil:
		return s.timestamp.Signed.Version
	case role == Snapshot && s.snapshot != nil:
		return s.snapshot.Signed.Version
	case role == Targets && s.targets != nil:
		return s.targets.Signed.Version
	case s.roles[role] != nil:
		return s.roles[role].Signed.Version
	}
	return 0
}

// index reads the published index of a role.
func (s *state) index(role string) (release.Index, error) {
	fresh := release.Index{Schema: release.IndexSchema, Channel: role}
	m := s.roles[role]
	if m == nil {
		return fresh, nil
	}
	f := m.Signed.Targets[release.IndexPath(role)]
	if f == nil {
		return fresh, nil
	}
	data, err := os.ReadFile(storedFile(s.dir, release.IndexPath(role), hexHash(f)))
	if err != nil {
		return fresh, uerr.New(uerr.Integrity, "read the index of", role, err, "practicectl release verify "+s.dir)
	}
	return release.ParseIndex(role, data)
}

func numbered(version int64, role string) string {
	return strconv.FormatInt(version, 10) + "." + role + ".json"
}

// storedFile is where a repository keeps a target.
func storedFile(repo, path, sha256 string) string {
	return filepath.Join(repo, "targets", filepath.FromSlash(release.StoredPath(path, sha256)))
}
