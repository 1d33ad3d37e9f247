package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"practicectl/internal/notify"
	"practicectl/internal/paths"
	"practicectl/internal/svc/runs"
	"practicectl/internal/uerr"
)

func (a *app) jobRunCmd() *cobra.Command {
	cmd := a.leaf(leaf{
		Use: "run JOB", Short: "Run a job as the schedule does",
		Long: `Runs a job of the schedule now and in the same way: in a process of its own, with a log and a record, and with the messages
that [notify] and [metrics] ask for. A run that succeeds is silent with --cron; one that fails says what went wrong, the
last 100 lines of its log and where the rest is. Its exit code is that of the job.

A job never overlaps itself: a second run ends at once with exit code 11, and with --cron without a word.`,
		Examples: []string{"practicectl job run backup", "practicectl job run verify --cron"},
		Args:     cobra.ExactArgs(1),
		Exits:    slices.Concat(backupRunExits, []uerr.Kind{uerr.LossGuard, uerr.NeedConfirm, uerr.Pending, uerr.Overdue, uerr.Interrupted, uerr.Terminated}),
		Complete: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return jobNames(), cobra.ShellCompDirectiveNoFileComp
		},
		Run: func(ctx context.Context, r *run, args []string) error {
			l, err := r.layout()
			if err != nil {
				return err
			}
			if _, err := r.config(); uerr.KindOf(err) == uerr.NotFound && err != nil {
				return err
			}
			i := slices.Index(jobNames(), args[0])
			if i < 0 {
				return uerr.New(uerr.Usage, "run the job", args[0], errors.New("want one of "+strings.Join(jobNames(), ", ")), "practicectl job run --help")
			}
			command := jobArgs(jobNames()[i])
			if r.dryRun() {
				return r.result(map[string]any{"dry_run": true, "job": args[0], "command": command}, func(w io.Writer) {
					fmt.Fprintf(w, "would run %s %s\n", Program, strings.Join(command, " "))
				})
			}
			ctx, release, err := r.lock(ctx, "job-"+args[0], "job run "+args[0])
			if err != nil {
				return err
			}
			defer release()
			j := &jobRun{run: r, l: l, name: args[0], command: command}
			return j.do(ctx)
		},
	})
	cmd.Annotations[annotationOwnLog] = "yes"
	return cmd
}

// jobRun is one run of a job.
type jobRun struct {
	run     *run
	l       paths.Layout
	name    string
	command []string // of practicectl, such as "backup", "run"
	record  *runs.Run
	log     io.Writer
}

// do runs the job in a process of its own and tells how it ended. Whatever only informs - log, record, messages, figures - never
// fails it.
func (j *jobRun) do(ctx context.Context) error {
	r, k := j.run, keeperOf(j.l, j.run.now)
	j.record, j.log = &runs.Run{ID: j.name, Job: j.name, Started: r.now().UTC()}, io.Discard
	keeps := false
	if record, log, err := k.Begin(j.name, append([]string{Program}, j.command...)); err == nil {
		j.record, j.log, keeps = record, log, true
		defer log.Close()
	} else {
		r.progress.Warn("there is no log of this run: %v", err)
	}
	h, err := r.herald(j.l, r.quietConfig())
	if err != nil {
		j.warn("nobody can be told of this run", err)
	}
	rid := uuid.NewString()
	var starting sync.WaitGroup
	if h != nil && h.ping.For(j.name) { // beside the work, which does not wait for it
		starting.Go(func() { j.warn("ping", h.ping.Start(ctx, j.name, rid)) })
	}
	failure := j.child(ctx)
	starting.Wait()
	noteEnd(j.record, failure)
	if keeps {
		j.warn("write the record of the run", k.End(j.record))
	}
	if failure != nil {
		r.app.runLog = j.record.Log
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute) // told even when the run was stopped
	defer cancel()
	if h != nil {
		tail, err := runs.Tail(j.record.Log, tailLines)
		if err != nil {
			tail = nil
		}
		told := h.tell(after, j.event(), rid, tail)
		j.warn("tell how the run ended", told)
		r.remember("notify", "told", told)
	}
	j.warn("write the figures", r.writeMetrics(j.l))
	if failure != nil {
		return failure
	}
	return r.result(j.record, func(w io.Writer) { showRun(w, r, *j.record) })
}

// warn notes in the log that something failed which only informs.
func (j *jobRun) warn(what string, err error) {
	if err != nil {
		fmt.Fprintf(j.log, "warning: %s: %s\n", what, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

func (j *jobRun) event() notify.Event {
	e := notify.Event{Job: j.name, Run: j.record.ID, At: j.run.now(), Exit: j.record.Exit, Kind: j.record.Kind, Error: j.record.Error, Hint: j.record.Hint}
	e.Took = e.At.Sub(j.record.Started)
	e.Skipped = slices.Contains([]uerr.Kind{uerr.Locked, uerr.Interrupted, uerr.Terminated}, kindOfExit(e.Exit))
	return e
}

// child runs the command in a process of its own, so that its end is told however it ends.
func (j *jobRun) child(ctx context.Context) error {
	r := j.run
	program, err := os.Executable()
	if err != nil {
		return err
	}
	args := append([]string{"--prefix", j.l.Prefix, "--instance", j.l.Instance}, j.command...)
	args = append(args, "--json", "--no-input", "--progress", "none", "-v")
	if r.global.config != "" {
		args = append(args, "--config", r.global.config)
	}
	if r.global.lockTimeout > 0 {
		args = append(args, "--lock-timeout", r.global.lockTimeout.String())
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(j.log, &errs)
	cmd.Cancel = func() error { return cmd.Process.Signal(terminate) }
	cmd.WaitDelay = time.Minute
	err = cmd.Run()
	if json.Valid(out.Bytes()) {
		j.record.Result = bytes.TrimSpace(out.Bytes())
	}
	if cmd.ProcessState == nil {
		return uerr.New(uerr.Failed, "start the job", j.name, err, "")
	}
	return j.failure(cmd.ProcessState.ExitCode(), err, errs.String())
}

// failure is the error that the end of the process stands for.
func (j *jobRun) failure(exit int, err error, said string) error {
	if exit == 0 && err == nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(said), "\n")
	var told jsonError
	if json.Unmarshal([]byte(lines[len(lines)-1]), &told) == nil && told.Exit == exit {
		return uerr.New(kindOfExit(exit), "the job "+j.name+" failed:", "", errors.New(told.Error), told.Hint)
	}
	return uerr.New(kindOfExit(exit), "the job "+j.name+" failed:", "", cmp.Or(err, errors.New("it says nothing")), "practicectl job last "+j.name)
}

// kindOfExit is the kind that has the exit code; Failed for any other.
func kindOfExit(code int) uerr.Kind {
	for _, k := range uerr.Kinds {
		if k.Exit == code {
			return k.Kind
		}
	}
	return uerr.Failed
}
