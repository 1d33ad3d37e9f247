package release

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const (
	maxPath     = 240
	maxSegments = 6
)

var (
	segmentShape   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}$`)
	platformShape  = regexp.MustCompile(`^[a-z0-9]{2,16}$`)
	componentShape = regexp.MustCompile(`^[a-z][a-z0-9-]{1,40}$`)
	sha256Shape    = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// reserved device names of Windows: a file called "con.txt" cannot be made there.
func reserved(segment string) bool {
	stem, _, _ := strings.Cut(strings.ToLower(segment), ".")
	switch stem {
	case "con", "prn", "aux", "nul":
		return true
	}
	return len(stem) == 4 && (strings.HasPrefix(stem, "com") || strings.HasPrefix(stem, "lpt")) && stem[3] >= '0' && stem[3] <= '9'
}

// CheckPath refuses target names that could leave a folder or cannot be made on every operating system. A signature
// does not make a name safe: globs in delegations match "stable/..".
func CheckPath(path string) error {
	segments := strings.Split(path, "/")
	if len(path) > maxPath || len(segments) < 2 || len(segments) > maxSegments {
		return fmt.Errorf("target name %.80q: want 2 to %d segments and at most %d bytes", path, maxSegments, maxPath)
	}
	for _, s := range segments {
		if !segmentShape.MatchString(s) || strings.HasSuffix(s, ".") || reserved(s) {
			return fmt.Errorf("target name %.80q: segment %.40q is not allowed", path, s)
		}
	}
	return nil
}

// Platform is the folder of an operating system and architecture: "linux-amd64" or "any".
func Platform(os, arch string) string {
	if os == Any && arch == Any {
		return Any
	}
	return os + "-" + arch
}

// ArchivePath is where the archive of a component lies in a repository.
func ArchivePath(role, component, version, os, arch string) string {
	return strings.Join([]string{role, component, version, Platform(os, arch), component + "." + EncTarZst}, "/")
}

// IndexPath is where the index of a role lies.
func IndexPath(role string) string { return role + "/index.json" }

// StoredPath is the name under which a target is stored and fetched: its base name is prefixed with its hash, so that
// old and new repository states can be served side by side.
func StoredPath(path, sha256 string) string {
	i := strings.LastIndexByte(path, '/')
	return path[:i+1] + sha256 + "." + path[i+1:]
}

// DelegatedPaths are the patterns of the names that a role may sign. A star matches one segment only.
func DelegatedPaths(role string) []string {
	var out []string
	for n := 1; n < maxSegments; n++ {
		out = append(out, role+strings.Repeat("/*", n))
	}
	return out
}

// ValidComponent reports whether s can be the name of a component.
func ValidComponent(s string) bool { return componentShape.MatchString(s) }

// RoleOf returns the role whose names start like path.
func RoleOf(path string) (string, bool) {
	role, _, ok := strings.Cut(path, "/")
	return role, ok && slices.Contains(Roles(), role)
}
