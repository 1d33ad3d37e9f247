// Package buildinfo tells which build of the product is running.
package buildinfo

import (
	"runtime"
	"runtime/debug"
)

// version is set by the linker: -X practicectl/internal/buildinfo.version=1.2.3
var version = "0.0.0-dev"

// Info describes a build.
type Info struct {
	Program  string `json:"program"`
	Version  string `json:"version"` // semantic version
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// Version returns the product's semantic version.
func Version() string { return version }

// Read describes the running program.
func Read(program string) Info {
	i := Info{Program: program, Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				i.Revision = s.Value
			}
		}
	}
	return i
}
