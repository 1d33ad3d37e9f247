package release

import (
	"regexp"
	"strings"

	"golang.org/x/mod/semver"
)

var versionShape = regexp.MustCompile(`^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

// maxVersion bounds a version, which is also a folder name.
const maxVersion = 64

// ValidVersion reports whether v is MAJOR.MINOR.PATCH with an optional pre-release, without a leading "v".
func ValidVersion(v string) bool {
	return len(v) <= maxVersion && versionShape.MatchString(v) && semver.IsValid("v"+v)
}

// CompareVersions orders by semantic versioning: -1, 0 or +1. An invalid version is older than every valid one.
func CompareVersions(a, b string) int { return semver.Compare("v"+a, "v"+b) }

// SameMajor reports whether two versions share the first number.
func SameMajor(a, b string) bool {
	x, _, _ := strings.Cut(a, ".")
	y, _, _ := strings.Cut(b, ".")
	return x == y
}
