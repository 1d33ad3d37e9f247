package svc

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"practicectl/internal/lockfile"
	"practicectl/internal/uerr"
)

// DetachedAgent starts and stops the agent of an instance as a process that outlives its starter.
type DetachedAgent struct {
	Client *Agent
	Args   []string // of the program, such as "--prefix", "/srv/practice", "agent", "run"
	Env    []string // empty: that of this process
	Dir    string   // working directory
	Log    string   // what the agent itself says
	Lock   string   // [AgentOptions.Lock]: free means that the agent and its services are gone
}

// startWithin bounds how long a new agent may take to answer; ending what another one left behind may take a minute.
const startWithin = 90 * time.Second

// Running reports whether an agent answers.
func (d DetachedAgent) Running(ctx context.Context) bool {
	_, err := d.Client.Info(ctx)
	return err == nil
}

// Start starts the program in a session of its own and returns when the agent answers. Error kinds: Precond when it
// cannot be started, Failed when it ended or did not answer.
func (d DetachedAgent) Start(ctx context.Context, program string) error {
	fail := func(kind uerr.Kind, err error) error {
		return uerr.New(kind, "start the agent", program, err, "read why: tail -n 50 '"+d.Log+"'")
	}
	if err := os.MkdirAll(filepath.Dir(d.Log), 0o750); err != nil {
		return fail(uerr.Precond, err)
	}
	log, err := os.OpenFile(d.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return fail(uerr.Precond, err)
	}
	defer log.Close()
	cmd := exec.Command(program, d.Args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = d.Env, d.Dir, log, log
	newSession(cmd)
	if err := cmd.Start(); err != nil {
		return fail(uerr.Precond, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // also collects it, should it end while we live
	giveUp := time.After(startWithin)
	for {
		select {
		case err := <-ended:
			if d.Running(ctx) {
				return nil // another one was faster
			}
			return fail(uerr.Failed, errors.New("it ended: "+describe(err)))
		case <-giveUp:
			return fail(uerr.Failed, errors.Join(errors.New("it does not answer"), cmd.Process.Kill()))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		if i, err := d.Client.Info(ctx); err == nil && i.PID == cmd.Process.Pid {
			return nil
		}
	}
}

// Stop asks the agent to end and returns when it and its services are gone. No agent is no error.
func (d DetachedAgent) Stop(ctx context.Context) error {
	if err := d.Client.Shutdown(ctx); err != nil && uerr.KindOf(err) != uerr.Unreachable {
		return err
	}
	_, lock, err := lockfile.Acquire(ctx, d.Lock, "stop the agent", 11*time.Minute)
	if err != nil {
		return err
	}
	return lock.Release()
}
