package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"practicectl/demo"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/s3gateway"
	"practicectl/internal/testenv"
)

// bench is what all scripts share and only read: a vendor with three releases, the programs, and the servers.
type bench struct {
	Dir     string
	Vendor  *demo.Vendor
	Bundle  pgcluster.Binaries
	System  pgcluster.Binaries // the distribution's PostgreSQL 15
	Gateway string
}

const testProgram = "e2e.test"

func (b *bench) work() string { return filepath.Join(b.Dir, "w") }

// bin is the folder of the programs that scripts call, those of release 1.0.0.
func (b *bench) bin() string { return filepath.Join(b.Dir, "bin") }

// smallDisks are the disks that a script can fill, by name.
var smallDisks = []struct{ name, size string }{
	{"store", "1m"}, {"downloads", "4m"}, {"restore", "12m"}, {"mirror", "8m"},
}

// makeBench prepares everything below dir, which other users can read.
func makeBench(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	b := &bench{Dir: dir}
	var err error
	if b.Bundle, err = pgcluster.FindForDevelopment(ctx, pgcluster.DevelopmentOptions{Dist: os.Getenv("PRACTICE_PG_DIST"), Cache: testenv.ToolsDir(), Major: pgcluster.BundleMajor}); err != nil {
		return err
	}
	if b.System, err = pgcluster.FindMajor(ctx, "", 15); err != nil {
		return err
	}
	if b.Gateway, err = s3gateway.Find(ctx, testenv.ToolsDir(), nil); err != nil {
		return err
	}
	b.Vendor, err = demo.MakeVendor(ctx, demo.VendorOptions{Source: "..", Dir: filepath.Join(dir, "vendor"), Postgres: &b.Bundle, Now: time.Now}, progress.None)
	if err != nil {
		return err
	}
	if err := b.linkPrograms(); err != nil {
		return err
	}
	// What `demo up --vendor` reads.
	workbench := map[string]any{"vendor": b.Vendor, "postgresql": b.Bundle, "bundled": true, "gateway": b.Gateway}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return errors.Join(writeJSON(filepath.Join(dir, "vendor.json"), workbench), writeJSON(filepath.Join(dir, "bench.json"), b),
		copyFile(self, filepath.Join(dir, testProgram)), os.Mkdir(b.work(), 0o755), copyScripts(filepath.Join(dir, "testdata")))
}

// linkPrograms puts the programs of 1.0.0 under their names.
func (b *bench) linkPrograms() error {
	if err := os.Mkdir(b.bin(), 0o755); err != nil {
		return err
	}
	var errs []error
	for component, name := range map[string]string{"practicectl": "practicectl", "server": "practice-server", "client": "practice-client", "relay": "practice-relay"} {
		errs = append(errs, os.Symlink(filepath.Join(b.Vendor.Programs["1.0.0"], component, "bin", name), filepath.Join(b.bin(), name)))
	}
	return errors.Join(errs...)
}

func copyScripts(to string) error {
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		return errors.Join(err, fmt.Errorf("%d scripts in testdata", len(scripts)))
	}
	errs := []error{os.Mkdir(to, 0o755)}
	for _, s := range scripts {
		errs = append(errs, copyFile(s, filepath.Join(to, filepath.Base(s))))
	}
	return errors.Join(errs...)
}

// copyFile copies a file so that everybody can read and run it.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() // only read
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
