// Package slots keeps the versions of one component side by side and makes exactly one of them current by one atomic
// switch.
//
// A folder whose name is a version is complete. What is still being filled is called "<version>.unverified", what is
// being deleted "<version>.removing": a crash leaves such names behind, never half a version under its real name.
package slots

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
)

// CurrentName is the name under which the live version is reached: Dir/current/…
const CurrentName = "current"

const (
	unverified = ".unverified"
	removing   = ".removing"
)

// Slots is the folder of all versions of one component, such as /opt/practice/server.
type Slots struct{ Dir string }

// A version is digits with dots and an optional pre-release part: nothing that could leave the folder.
var versionName = regexp.MustCompile(`^[0-9]+(\.[0-9]+){0,2}(-[0-9A-Za-z]+([.-][0-9A-Za-z]+)*)?$`)

// Path is the folder of version, whether or not it is staged.
func (s Slots) Path(version string) string { return filepath.Join(s.Dir, version) }

// CurrentPath is the folder of the live version by its stable name.
func (s Slots) CurrentPath() string { return filepath.Join(s.Dir, CurrentName) }

// Has reports whether version is completely staged.
func (s Slots) Has(version string) bool {
	st, err := os.Stat(s.Path(version))
	return versionName.MatchString(version) && err == nil && st.IsDir()
}

// Current returns the live version. Error kind: NotFound when the component was never switched on.
func (s Slots) Current() (string, error) {
	version, err := readCurrent(s.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", uerr.New(uerr.NotFound, "find the current version of", filepath.Base(s.Dir), errors.New("not installed"), "practicectl component list")
	case err != nil:
		return "", uerr.New(uerr.Precond, "read the current version of", filepath.Base(s.Dir), err, "practicectl component verify")
	case !s.Has(version):
		return "", uerr.New(uerr.Integrity, "find the current version of", filepath.Base(s.Dir),
			fmt.Errorf("%q points to %q, which is not there", CurrentName, version), "practicectl component verify")
	}
	return version, nil
}

// Versions lists the completely staged versions, oldest first by semantic version. A component that is not there has
// none.
func (s Slots) Versions() ([]string, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, uerr.New(uerr.Precond, "list the versions in", s.Dir, err, "")
	}
	var versions []string
	for _, e := range entries {
		if e.IsDir() && versionName.MatchString(e.Name()) {
			versions = append(versions, e.Name())
		}
	}
	slices.SortFunc(versions, func(a, b string) int { return semver.Compare("v"+a, "v"+b) })
	return versions, nil
}

// Switch makes version the live one. It must be staged; the switch is one rename, so a reader sees the old version or
// the new one. Error kind: NotFound.
func (s Slots) Switch(version string) error {
	if !s.Has(version) {
		return uerr.New(uerr.NotFound, "switch "+filepath.Base(s.Dir)+" to", version, errors.New("this version is not staged"), "practicectl update apply")
	}
	if err := writeCurrent(s.Dir, version); err != nil {
		return failure("switch "+filepath.Base(s.Dir)+" to", version, err)
	}
	return nil
}

// Off takes the live name away, as before the first Switch. The versions stay.
func (s Slots) Off() error {
	if err := dropCurrent(s.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failure("switch off", filepath.Base(s.Dir), err)
	}
	return nil
}

// Remove deletes a version that is not current. A version that is not there is no error.
func (s Slots) Remove(version string) error {
	if !versionName.MatchString(version) {
		return badVersion(version)
	}
	if live, err := readCurrent(s.Dir); err == nil && live == version {
		return uerr.New(uerr.Precond, "remove", s.Path(version), errors.New("it is the current version"), "practicectl update rollback")
	}
	// Renamed first: a crash while deleting must not leave half a version under a name that says "complete".
	err := atomicfile.Rename(s.Path(version), s.Path(version)+removing)
	if errors.Is(err, fs.ErrExist) || isNotEmpty(err) {
		err = errors.Join(os.RemoveAll(s.Path(version)+removing), atomicfile.Rename(s.Path(version), s.Path(version)+removing))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return failure("remove", s.Path(version), err)
	}
	if err := os.RemoveAll(s.Path(version) + removing); err != nil {
		return failure("remove", s.Path(version), err)
	}
	return nil
}

// Prune deletes all but the current version, the pinned ones and the newest keep of the others.
func (s Slots) Prune(keep int, pinned ...string) error {
	versions, err := s.Versions()
	if err != nil {
		return err
	}
	live, err := s.Current()
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(versions, func(v string) bool { return v == live || slices.Contains(pinned, v) })
	var errs []error
	for _, v := range others[:max(0, len(others)-keep)] {
		errs = append(errs, s.Remove(v))
	}
	return errors.Join(errs...)
}

// Recover clears what a crash left behind: half-filled and half-deleted folders and a half-made switch. It must not run
// while another process stages into the same folder; callers hold the update lock.
func (s Slots) Recover() error {
	entries, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return uerr.New(uerr.Precond, "look through", s.Dir, err, "")
	}
	var errs []error
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), unverified) || strings.HasSuffix(e.Name(), removing) {
			errs = append(errs, os.RemoveAll(filepath.Join(s.Dir, e.Name())))
		}
	}
	errs = append(errs, repairCurrent(s.Dir))
	if err := errors.Join(errs...); err != nil {
		return failure("clear up", s.Dir, err)
	}
	return nil
}

func badVersion(version string) error {
	return uerr.New(uerr.Usage, "use the version", fmt.Sprintf("%q", version), errors.New("want digits with dots, such as 1.4.0 or 1.5.0-beta.1"), "")
}

// failure gives err the kind a script can act on: a full disk is NoSpace, anything else a failed precondition.
func failure(op, subject string, err error) error {
	if isNoSpace(err) {
		return uerr.New(uerr.NoSpace, op, subject, err, "free space on this disk, then run the same command again")
	}
	return uerr.New(uerr.Precond, op, subject, err, "practicectl doctor")
}
