// Package s3gateway starts the pinned versitygw S3 server on loopback, for the demo and for tests.
//
// It is a real S3 server with versions and object lock over a local folder; the product itself never needs it.
package s3gateway

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/lockfile"
	"practicectl/internal/uerr"
)

// Module and Version pin the server.
const (
	Module  = "github.com/versity/versitygw"
	Version = "v1.8.0"
)

// Find returns the path of the pinned server in toolsDir/bin, which it builds with the go command when it is not
// there (about 40 s of two cores, once). say is told when that begins; nil: silent. Error kind: Precond.
func Find(ctx context.Context, toolsDir string, say func(string)) (string, error) {
	path := filepath.Join(toolsDir, "bin", "versitygw")
	if pinned(path) {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", uerr.New(uerr.Precond, "make the tools folder", toolsDir, err, "")
	}
	ctx, lock, err := lockfile.Acquire(ctx, path+".lock", "build versitygw", 15*time.Minute)
	if err != nil {
		return "", err
	}
	err = build(ctx, path, say)
	return path, errors.Join(err, lock.Release())
}

func build(ctx context.Context, path string, say func(string)) error {
	if pinned(path) { // somebody else built it while we waited
		return nil
	}
	if say != nil {
		say(fmt.Sprintf("building the S3 server %s (once, about a minute)", Version))
	}
	temp, err := os.MkdirTemp(filepath.Dir(path), ".build-")
	if err != nil {
		return uerr.New(uerr.Precond, "build", Module, err, "")
	}
	target := Module + "/cmd/versitygw@" + Version
	cmd := exec.CommandContext(ctx, "go", "install", target)
	cmd.Dir = temp // outside of any module
	cmd.Env = append(cmd.Environ(), "GOBIN="+temp, "GOFLAGS=", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err == nil {
		err = atomicfile.Rename(filepath.Join(temp, filepath.Base(path)), path)
	} else {
		err = fmt.Errorf("%w: %s", err, lastLine(string(out)))
	}
	err = errors.Join(err, os.RemoveAll(temp))
	if err != nil {
		return uerr.New(uerr.Precond, "build the S3 server", target, err, fmt.Sprintf("GOBIN=%s go install %s", filepath.Dir(path), target))
	}
	return nil
}

// pinned reports whether path is the server at the pinned version.
func pinned(path string) bool {
	info, err := buildinfo.ReadFile(path)
	return err == nil && info.Main.Path == Module && info.Main.Version == Version
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
