// Package installer puts database, server and chosen client modules on a machine, re-runnable, with receipts of what it
// did.
//
// The straight line is desired → components → steps → receipts → verify. Every step looks before it acts, so a second
// run changes nothing, a run after a crash goes on where the first ended, and a failed run leaves the machine as it was.
package installer

import (
	"context"
	"path/filepath"
	"time"

	"practicectl/internal/diskspace"
	"practicectl/internal/paths"
	"practicectl/internal/progress"
	"practicectl/internal/slots"
	"practicectl/internal/svc"
	"practicectl/release"
	"practicectl/release/trust"
)

// Source is where verified releases come from; [*trust.Client] is one.
type Source interface {
	Refresh(ctx context.Context) (*trust.Catalog, error)
	Fetch(ctx context.Context, t release.Target, dst string, task progress.Task) error
}

// Settings keeps the instance's configuration file.
type Settings interface {
	// Match reports whether the file says what d says.
	Match(d Desired) (bool, error)
	// Write makes it so and keeps what else is in there.
	Write(d Desired) error
}

// Options is everything an installation needs from outside.
type Options struct {
	Layout   paths.Layout
	Source   Source
	Settings Settings
	Services svc.Manager
	// Agent supervises the services of this machine; nil where systemd does.
	Agent Agent
	// Unschedule removes the instance's scheduled jobs when it is uninstalled. Optional.
	Unschedule func(ctx context.Context) error

	OS, Arch string // of the components
	Hostname string // goes into the server's certificate
	EUID     int    // of this process; 0 is refused
	// RootHint is what root should type instead.
	RootHint string

	Free     func(dir string) (int64, error) // bytes free for this user; nil: asks the file system
	Now      func() time.Time
	Progress progress.Reporter
	Crash    func(point string) // tests end the process here

	unsafeNoSync bool // tests only: the database does not wait for the disk
}

// Agent is the supervisor of an installation without systemd.
type Agent interface {
	// Running reports whether an agent answers.
	Running(ctx context.Context) bool
	// Start starts one that outlives this process and returns when it answers. program is the installed practicectl.
	Start(ctx context.Context, program string) error
	// Stop returns when the agent and its services are gone. No agent is no error.
	Stop(ctx context.Context) error
}

// Installer installs one instance. It asks the source once; make a new one for each command.
type Installer struct {
	o       Options
	cat     *trust.Catalog
	fetched map[string]string // SHA-256 of an archive to the file that holds it, verified in this process
}

// New returns an installer. All options but Unschedule, Agent, Free, Progress and Crash are required.
func New(o Options) *Installer {
	if o.Progress == nil {
		o.Progress = progress.None
	}
	if o.Free == nil {
		o.Free = diskspace.Free
	}
	if o.Crash == nil {
		o.Crash = func(string) {}
	}
	return &Installer{o: o, fetched: map[string]string{}}
}

func (i *Installer) slots(component string) slots.Slots {
	return slots.Slots{Dir: i.o.Layout.Component(component)}
}

// catalog asks the source what there is.
func (i *Installer) catalog(ctx context.Context) (*trust.Catalog, error) {
	if i.cat != nil {
		return i.cat, nil
	}
	i.o.Progress.Note("looking for releases")
	cat, err := i.o.Source.Refresh(ctx)
	if err == nil {
		i.cat = cat
	}
	return cat, err
}

func (i *Installer) journal() string { return filepath.Join(i.o.Layout.Journals(), "install.jsonl") }
