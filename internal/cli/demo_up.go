package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/demo"
	"practicectl/internal/uerr"
)

// demoDir is where a demo lives unless another folder is named: short, because sockets lie in it, and open to the
// account that root hands over to.
func demoDir() string {
	return filepath.Join("/var/tmp", "practicectl-demo-"+strconv.Itoa(max(0, os.Getuid())))
}

// toolsDir keeps tools that are fetched or built once.
func toolsDir(getenv func(string) string) string {
	if dir := getenv("PRACTICE_TOOLS"); dir != "" {
		return dir
	}
	return "/var/tmp/practicectl-cache"
}

func (a *app) demoUpCmd() *cobra.Command {
	o := demo.Options{}
	return a.leaf(leaf{
		Use: "up", Short: "Tell the whole story on this machine",
		Long: `Builds three releases from the source, signs and publishes them, serves them from a LAN mirror, and through it
installs a practice of 2,200 patients, backs it up twice, restores it beside and compares every row, updates it, and
lets a broken update fail and go back. Afterwards the practice is left running, to sign in to.

Everything is below one folder; "practicectl demo down" stops and removes it. Started by root, the clinic's side runs
as nobody.`,
		Examples: []string{"practicectl demo up", "practicectl demo up --store /tmp/offsite --dir /var/tmp/my-demo"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.Locked, uerr.Precond, uerr.Unreachable, uerr.NoSpace, uerr.Integrity},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&o.Dir, "dir", demoDir(), "folder of the demo, new")
			f.StringVar(&o.Source, "source", ".", "root of the product's source tree, to build the releases from")
			f.StringVar(&o.Vendor, "vendor", "", "folder of a demo whose releases are used instead of building new ones")
			f.StringVar(&o.Store, "store", "", "new folder for the backups instead of an S3 server on loopback")
			f.StringVar(&o.PGBin, "pg-bin", a.Getenv("PRACTICE_PG_BIN"), "folder of PostgreSQL's programs; default: found or fetched")
			f.StringVar(&o.PGDist, "pg-dist", a.Getenv("PRACTICE_PG_DIST"), "npm tarball of PostgreSQL; default: fetched")
			f.BoolVar(&o.Small, "small", false, "invent a small practice, for tests")
			f.BoolVar(&o.Stop, "stop", false, "leave nothing running at the end")
		},
		Run: func(ctx context.Context, r *run, _ []string) error { return r.demoUp(ctx, o) },
	})
}

func (r *run) demoUp(ctx context.Context, o demo.Options) error {
	o.Tools, o.Now, o.Out, o.Err = toolsDir(r.app.Getenv), r.now, r.app.Out, r.app.Err
	for _, path := range []*string{&o.Dir, &o.Source, &o.Store, &o.Vendor} {
		if *path == "" {
			continue
		}
		abs, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = abs
	}
	if r.dryRun() {
		return r.result(map[string]any{"dry_run": true, "dir": o.Dir, "source": o.Source}, func(w io.Writer) {
			fmt.Fprintf(w, "would build three releases from %s and tell the story below %s\n", o.Source, o.Dir)
		})
	}
	o.Show = func(line string) { r.progress.Note("$ %s", line) }
	o.Args = r.demoArgs(o)
	summary, err := demo.Up(ctx, o, r.progress)
	var other *demo.HandedOver
	if errors.As(err, &other) {
		return uerr.FromExit(other.Exit, "tell the demo", err, "what is left of it: practicectl demo down --dir "+o.Dir)
	}
	if err != nil {
		if uerr.HintOf(err) == "" {
			err = uerr.New(uerr.KindOf(err), "", "", err, "what is left of it: practicectl demo down --dir "+o.Dir)
		}
		return err
	}
	if summary == nil { // another account told it
		return nil
	}
	return r.result(summary, func(w io.Writer) { r.showDemo(w, o, summary) })
}

// demoArgs repeats this command line for the account that root hands over to.
func (r *run) demoArgs(o demo.Options) []string {
	args := []string{"demo", "up", "--dir", o.Dir, "--vendor", o.Dir, "--output", r.global.output, "--progress", r.global.progress, "--color", r.global.color}
	if o.Vendor != "" {
		args[5] = o.Vendor
	}
	if o.Store != "" {
		args = append(args, "--store", o.Store)
	}
	for flag, set := range map[string]bool{"--small": o.Small, "--stop": o.Stop, "--quiet": r.global.quiet} {
		if set {
			args = append(args, flag)
		}
	}
	return args
}

func (r *run) showDemo(w io.Writer, o demo.Options, s *demo.Summary) {
	rows := [][]string{{"STEP", "TIME", "RESULT"}}
	for _, step := range s.Steps {
		rows = append(rows, []string{step.Name, fmt.Sprintf("%5.1f s", step.Seconds), step.Result})
	}
	fmt.Fprintln(w)
	table(w, append(rows, []string{"all together", fmt.Sprintf("%5.1f s", s.Seconds), ""}))
	if !s.Running {
		fmt.Fprintf(w, "\nNothing is left running. Remove the files: practicectl demo down --dir %s\n", o.Dir)
		return
	}
	fmt.Fprintf(w, "\nThe practice runs at %s   (its own certificate authority: %s)\n", s.URL, s.CA)
	for _, p := range s.SignIns {
		fmt.Fprintf(w, "  sign in as %-10s %-24s %s\n", p.Login, p.Name, p.Role)
	}
	fmt.Fprintf(w, "  password   %s\n\n", s.Password)
	fmt.Fprintf(w, "Look around:  practicectl status --prefix %s\nRemove it:    make demo-down\n", s.Prefix)
}
