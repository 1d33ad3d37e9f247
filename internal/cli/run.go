package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"practicectl/internal/config"
	"practicectl/internal/lockfile"
	"practicectl/internal/paths"
	"practicectl/internal/progress"
	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

// run is what one command works with: lazily opened, so that help and version work on a broken machine.
type run struct {
	app      *app
	cmd      *cobra.Command
	global   globalFlags
	progress progress.Reporter
	log      *slog.Logger
	now      func() time.Time
	cleanup  []func() error
	ended    func(err error) // writes the record of an unattended run; nil: there is none
}

func (a *app) newRun(c *cobra.Command) (*run, error) {
	r := &run{app: a, cmd: c, global: a.global, now: a.Now}
	logTo := io.Discard
	if a.global.verbose > 0 {
		logTo = a.Err
	}
	if a.global.logFile != "" {
		f, err := os.OpenFile(a.global.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		if err != nil {
			return nil, uerr.New(uerr.Usage, "open the log file", a.global.logFile, err, "name a file that this user may write")
		}
		r.cleanup = append(r.cleanup, f.Close)
		logTo = io.MultiWriter(logTo, f)
	}
	level := slog.LevelInfo
	if a.global.verbose > 1 {
		level = slog.LevelDebug
	}
	r.log = slog.New(slog.NewTextHandler(logTo, &slog.HandlerOptions{Level: level}))
	r.progress = a.reporter()
	return r, nil
}

// close ends the run's own resources and keeps err when there is one.
func (r *run) close(err error) error {
	if f, ok := r.progress.(interface{ finish() }); ok {
		f.finish()
	}
	if r.ended != nil {
		r.ended(err)
	}
	var errs []error
	for _, f := range r.cleanup {
		errs = append(errs, f())
	}
	if err != nil {
		return err
	}
	return errors.Join(errs...)
}

func (r *run) dryRun() bool  { return r.global.dryRun }
func (r *run) yes() bool     { return r.global.yes }
func (r *run) noInput() bool { return r.global.noInput }

// layout says where the chosen instance lives.
func (r *run) layout() (paths.Layout, error) {
	l, err := paths.New(r.global.prefix, r.global.instance)
	if err != nil {
		return l, uerr.New(uerr.Usage, "", "", err, "")
	}
	if err := r.refuseForeignRoot(l); err != nil {
		return l, err
	}
	if err := l.ClaimRun(); err != nil {
		return l, uerr.New(uerr.Precond, "use the folder of locks and sockets:", "", err, "")
	}
	return l, nil
}

// refuseForeignRoot keeps root out of an instance of another account: what root leaves there, be it only the file of a
// lock, would stop that account's next nightly run.
func (r *run) refuseForeignRoot(l paths.Layout) error {
	if os.Geteuid() != 0 {
		return nil
	}
	owner := ownerOf(l.Config())
	if owner == "" || r.cmd.Annotations[annotationNoFile] != "" && filepath.Dir(l.Run()) != filepath.Clean(os.TempDir()) {
		return nil
	}
	return uerr.New(uerr.Precond, "use the instance "+l.Instance+" in", l.Prefix, errors.New("it belongs to the account "+owner+", and root would leave files there that "+owner+" cannot write"),
		shellLine(append([]string{"runuser", "-u", owner, "--", Program}, os.Args[1:]...)))
}

// configPath is the file that config reads.
func (r *run) configPath() (string, error) {
	if r.global.config != "" {
		return r.global.config, nil
	}
	l, err := r.layout()
	return l.Config(), err
}

// config reads the configuration of the chosen instance.
func (r *run) config() (*config.File, error) {
	path, err := r.configPath()
	if err != nil {
		return nil, err
	}
	return config.Load(path)
}

// lock takes the instance's lock for job until the returned func is called.
func (r *run) lock(ctx context.Context, job, what string) (context.Context, func(), error) {
	l, err := r.layout()
	if err != nil {
		return nil, nil, err
	}
	held, lock, err := lockfile.Acquire(ctx, l.Lock(job), what, r.global.lockTimeout)
	if err != nil {
		return nil, nil, err
	}
	return held, func() {
		if err := lock.Release(); err != nil {
			r.log.Warn("release the lock", "job", job, "error", err)
		}
	}, nil
}

// readSecret reads the file that --flag names ("-" for stdin), without its final line break. With no file it asks at the
// terminal; without one it says which flag is missing.
func (r *run) readSecret(flag, prompt, path string) (secret.Text, error) {
	if path == "" {
		return r.askSecret(flag, prompt)
	}
	var data []byte
	var err error
	if path == "-" {
		data, err = io.ReadAll(io.LimitReader(r.app.In, 1<<16))
	} else {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return secret.Text{}, uerr.New(uerr.Usage, "read --"+flag, path, err, "")
	}
	return secret.New(strings.TrimRight(string(data), "\r\n")), nil
}
