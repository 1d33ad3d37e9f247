package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"practicectl/internal/config"
	"practicectl/internal/lockfile"
	"practicectl/internal/paths"
	"practicectl/internal/progress"
	"practicectl/internal/svc/runs"
	"practicectl/internal/uerr"
)

// tailLines is how much of its log an unattended run shows when it fails.
const tailLines = 100

// keeperOf keeps the runs of an instance.
func keeperOf(l paths.Layout, now func() time.Time) runs.Keeper {
	return runs.Keeper{Dir: filepath.Join(l.Log(), "runs"), Now: now}
}

// unattended gives a command with --cron a log of its own, when the instance is installed. One that leaves no files, or runs until
// it is stopped, has none. That there is no room for a log is never a reason not to run.
func (r *run) unattended() {
	if !r.global.cron || r.global.logFile != "" || r.cmd.Annotations[annotationNoFile] != "" || r.cmd.Annotations[annotationNoJSON] != "" || r.cmd.Annotations[annotationOwnLog] != "" {
		return
	}
	l, err := r.layout()
	if err != nil || !isFile(l.Config()) {
		return
	}
	job := strings.ReplaceAll(strings.TrimPrefix(r.cmd.CommandPath(), r.cmd.Root().Name()+" "), " ", "-")
	_, lock, err := lockfile.Acquire(r.cmd.Context(), l.Lock("run-"+job), job, 0)
	if err != nil {
		return // another run of it is at work, and this one is about to say so
	}
	r.cleanup = append(r.cleanup, lock.Release)
	k := keeperOf(l, r.now)
	record, log, err := k.Begin(job, append([]string{Program}, strings.Split(job, "-")...))
	if err != nil {
		r.log.Warn("there is no log of this run", "error", err)
		return
	}
	r.cleanup = append([]func() error{log.Close}, r.cleanup...)
	r.log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.progress = logged{r.progress, r.log}
	r.ended = func(err error) {
		noteEnd(record, err)
		r.log.Info("ended", "exit", record.Exit, "error", record.Error)
		if err := k.End(record); err != nil {
			r.log.Warn("write the record of the run", "error", err)
		}
		if err != nil {
			r.app.runLog = record.Log
		}
	}
}

// noteEnd writes how a command ended into its record.
func noteEnd(record *runs.Run, err error) {
	if err != nil {
		record.Exit, record.Kind, record.Error, record.Hint = uerr.ExitCode(err), uerr.KindOf(err).String(), err.Error(), uerr.HintOf(err)
	}
}

// logged also writes what work tells into the log.
type logged struct {
	progress.Reporter
	log *slog.Logger
}

func (l logged) Task(name string, unit progress.Unit, total int64) progress.Task {
	l.log.Info("begins", "task", name, "total", total)
	return l.Reporter.Task(name, unit, total)
}

func (l logged) Note(format string, args ...any) {
	l.log.Info(fmt.Sprintf(format, args...))
	l.Reporter.Note(format, args...)
}

func (l logged) Warn(format string, args ...any) {
	l.log.Warn(fmt.Sprintf(format, args...))
	l.Reporter.Warn(format, args...)
}

// showTail prints the last lines of the log of the run that failed, and where the rest is.
func (a *app) showTail(w io.Writer) {
	if a.runLog == "" {
		return
	}
	lines, err := runs.Tail(a.runLog, tailLines)
	if err != nil {
		lines = []string{err.Error()}
	}
	fmt.Fprintf(w, "  log:   %s, its last lines:\n", a.runLog)
	for _, line := range lines {
		fmt.Fprintf(w, "    %s\n", line)
	}
}

// readCred reads a file that the configuration names relative to the credential folder.
func readCred(l paths.Layout, key, name string) ([]byte, error) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.Cred(), name)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, uerr.New(uerr.Config, "read the file of "+key, path, errors.Unwrap(err), "make the file, readable for nobody else, or take "+key+" out of practice.toml")
	}
	return data, nil
}

// quietConfig is the configuration, or the defaults while it cannot be read: what only informs does not fail for it.
func (r *run) quietConfig() *config.File {
	if c, err := r.config(); err == nil {
		return c
	}
	c := config.Default()
	return &c
}
