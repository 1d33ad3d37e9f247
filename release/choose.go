package release

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Host is one installation that asks what to install.
type Host struct {
	ID         string    // stable and random; decides the place in a staged rollout
	Component  string    // what is asked for
	Installed  string    // "" when nothing is installed yet
	Failed     []string  // versions that failed here and are not tried again by themselves
	Now        time.Time // trusted time: never before the newest signed time
	Unattended bool      // nobody is looking: major releases wait until they are mandatory
	Want       string    // a version a person named; skips rollout and failed list, never floors, revocation or min_from
}

// Choice is the next version a host should install.
type Choice struct {
	Release   Release
	Mandatory bool   // deferral is over: floor passed, deadline passed or installed version revoked
	Stone     bool   // a stepping stone: another update to Final follows
	Final     string // where the way leads
	Downgrade bool   // an ordered roll-back of a revoked version
	Why       string // one sentence for people
}

// ErrCurrent says that there is nothing to install.
var ErrCurrent = errors.New("already current")

// Refusal says why a named version cannot be installed.
type Refusal struct{ Version, Why string }

func (r *Refusal) Error() string { return fmt.Sprintf("version %s: %s", r.Version, r.Why) }

// Choose picks the next version for a host: the newest one that is not revoked, at or above the floor, open to this
// host by rollout or mandatory, and has not failed here; by a stepping stone when the installed version is too old to go there directly.
// Errors: [ErrCurrent], or a [*Refusal] when h.Want cannot be had.
func (ix Index) Choose(h Host) (Choice, error) {
	if h.Want != "" {
		return ix.chooseNamed(h)
	}
	if rev, ok := ix.RevocationOf(h.Component, h.Installed); ok && h.Installed != "" && rev.RollbackTo != "" {
		if c, ok := ix.rollback(h, rev); ok {
			return c, nil
		}
	}
	must := ix.Mandatory(h)
	for _, r := range ix.newestFirst(h.Component) {
		if h.Installed != "" && CompareVersions(r.Version, h.Installed) <= 0 {
			break
		}
		if ix.refused(h, r) != "" {
			continue
		}
		mandatory := must || due(r, h.Now)
		if !mandatory && !InRollout(r, h.ID, h.Component, h.Now) || slices.Contains(h.Failed, r.Version) {
			continue
		}
		if h.Unattended && r.Kind == Major && h.Installed != "" && !mandatory {
			continue
		}
		if c, ok := ix.reach(h, r); ok {
			c.Mandatory = mandatory
			c.Why = why(h, r, mandatory)
			return c, nil
		}
	}
	return Choice{}, ErrCurrent
}

// Mandatory reports whether the installed version must be left: below the floor, revoked, or a newer release's
// deadline has passed.
func (ix Index) Mandatory(h Host) bool {
	if h.Installed == "" {
		return false
	}
	if floor := ix.Floors[h.Component]; floor != "" && CompareVersions(h.Installed, floor) < 0 {
		return true
	}
	if _, revoked := ix.RevocationOf(h.Component, h.Installed); revoked {
		return true
	}
	return slices.ContainsFunc(ix.newestFirst(h.Component), func(r Release) bool {
		return CompareVersions(r.Version, h.Installed) > 0 && due(r, h.Now) && ix.refused(h, r) == ""
	})
}

// InRollout reports whether a release is open to a host. The place of a host is fixed by its identity, the component
// and the version, so no server needs to remember it and every release draws anew.
func InRollout(r Release, hostID, component string, now time.Time) bool {
	if len(r.Rollout) == 0 {
		return true
	}
	open := 0
	for _, s := range r.Rollout {
		if !now.Before(r.Date.Add(time.Duration(s.AfterHours) * time.Hour)) {
			open = s.Permille
		}
	}
	return Place(hostID, component, r.Version) < open
}

// Place is the place of a host in the rollout of a version, 0 to 999.
func Place(hostID, component, version string) int {
	sum := sha256.Sum256([]byte(hostID + "\x00" + component + "\x00" + version))
	return int(binary.BigEndian.Uint64(sum[:8]) % 1000)
}

func due(r Release, now time.Time) bool {
	return r.MandatoryAfter != nil && !now.Before(*r.MandatoryAfter)
}

func (ix Index) newestFirst(component string) []Release {
	var out []Release
	for _, r := range ix.Releases {
		if slices.Contains(r.Components, component) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Release) int { return CompareVersions(b.Version, a.Version) })
	return out
}

// refused says why nobody may install r; "" when it may be installed.
func (ix Index) refused(h Host, r Release) string {
	if rev, ok := ix.RevocationOf(h.Component, r.Version); ok {
		return "revoked: " + rev.Reason
	}
	if floor := ix.Floors[h.Component]; floor != "" && CompareVersions(r.Version, floor) < 0 {
		return "below the oldest allowed version " + floor
	}
	return ""
}

// reach finds the next step from the installed version towards r, through stepping stones when needed. Stones may lie
// below the floor: they are left again at once.
func (ix Index) reach(h Host, r Release) (Choice, bool) {
	step := r
	for range len(ix.Releases) + 1 {
		if h.Installed == "" || step.MinFrom == "" || CompareVersions(h.Installed, step.MinFrom) >= 0 {
			return Choice{Release: step, Stone: step.Version != r.Version, Final: r.Version}, true
		}
		stone, ok := ix.stoneFor(h, step)
		if !ok {
			return Choice{}, false
		}
		step = stone
	}
	return Choice{}, false
}

// stoneFor returns the newest release between the installed version and step from which step may be reached.
func (ix Index) stoneFor(h Host, step Release) (Release, bool) {
	for _, r := range ix.newestFirst(h.Component) {
		_, revoked := ix.RevocationOf(h.Component, r.Version)
		if !revoked && CompareVersions(r.Version, step.Version) < 0 && CompareVersions(r.Version, step.MinFrom) >= 0 && CompareVersions(r.Version, h.Installed) > 0 {
			return r, true
		}
	}
	return Release{}, false
}

func (ix Index) rollback(h Host, rev Revocation) (Choice, bool) {
	r, ok := ix.Release(rev.RollbackTo)
	if !ok || ix.refused(h, r) != "" || !slices.Contains(r.Components, h.Component) {
		return Choice{}, false
	}
	return Choice{Release: r, Mandatory: true, Final: r.Version, Downgrade: CompareVersions(r.Version, h.Installed) < 0,
		Why: fmt.Sprintf("version %s was revoked: %s", h.Installed, rev.Reason)}, true
}

func (ix Index) chooseNamed(h Host) (Choice, error) {
	r, ok := ix.Release(h.Want)
	switch {
	case !ok || !slices.Contains(r.Components, h.Component):
		return Choice{}, &Refusal{h.Want, "not in channel " + ix.Channel}
	case ix.refused(h, r) != "":
		return Choice{}, &Refusal{h.Want, ix.refused(h, r)}
	case h.Installed == h.Want:
		return Choice{}, ErrCurrent
	case h.Installed != "" && CompareVersions(h.Want, h.Installed) < 0:
		return Choice{}, &Refusal{h.Want, "older than the installed " + h.Installed}
	}
	c, ok := ix.reach(h, r)
	if !ok {
		return Choice{}, &Refusal{h.Want, fmt.Sprintf("not reachable from %s: it needs at least %s", h.Installed, r.MinFrom)}
	}
	c.Mandatory = ix.Mandatory(h)
	c.Why = "asked for"
	return c, nil
}

func why(h Host, r Release, mandatory bool) string {
	switch {
	case h.Installed == "":
		return "newest version"
	case mandatory:
		return fmt.Sprintf("version %s must not run any longer", h.Installed)
	}
	return "newer " + r.Severity + " release"
}
