// Package updater brings an installed component from version A to B or back, and never leaves it between.
//
// The straight line is Check → Stage → Apply. All components that carry the product's version switch as one
// transaction under a journal ([practicectl/internal/steps]); a crash at any point is finished or undone by [Updater.Recover],
// which the next run and the agent call first. What the updater does not know, such as how services are started, it is
// given as plain functions in [Hooks].
package updater

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"time"

	"practicectl/internal/lockfile"
	"practicectl/internal/progress"
	"practicectl/internal/slots"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/trust"
)

// Source is where verified releases come from; [*trust.Client] is one.
type Source interface {
	Refresh(ctx context.Context) (*trust.Catalog, error)
	Fetch(ctx context.Context, t release.Target, dst string, task progress.Task) error
}

// Hooks are the services of the instance. All must be idempotent: after a crash they run again on whatever the first
// call left behind. Those of the server and the database are called only where the server component is installed.
type Hooks struct {
	// StopServer lets running requests end, stops the core server and sees to it that a restart of the machine brings it
	// up in maintenance at most, until OpenToUsers.
	StopServer func(ctx context.Context) error
	// StartMaintenance starts the live version of the core server so that only its probes answer.
	StartMaintenance func(ctx context.Context) error
	// OpenToUsers lets the live version of the core server answer everybody again.
	OpenToUsers func(ctx context.Context) error
	// StopDatabase stops PostgreSQL cleanly: its data folder is complete and unchanging when it returns.
	StopDatabase func(ctx context.Context) error
	// StartDatabase returns when PostgreSQL accepts connections.
	StartDatabase func(ctx context.Context) error
	// Migrate runs the migrations of the staged server of this version.
	Migrate func(ctx context.Context, version string) error
	// Probe asks the core server once whether it is ready.
	Probe func(ctx context.Context) error
	// Schema asks the server program of a staged or live version about the schema of the database.
	Schema func(ctx context.Context, version string) (Schema, error)
	// Committed is told after the commit, such as to write receipts. Optional.
	Committed func(ctx context.Context, t Transition) error
}

// Schema is what a version of the core server says about the database.
type Schema struct {
	Known   int `json:"known"`   // the newest schema of this version; its migrations lead there
	Applied int `json:"applied"` // the schema of the database now
	// Floor is the oldest schema that a server must know to run on a database which this version has migrated; 0: unknown.
	Floor int `json:"floor"`
}

// Options says what is updated, from where and how.
type Options struct {
	Source    Source
	Hooks     Hooks
	Opt       string // folder of all components, such as /opt/practice
	Journal   string // the journal file of updates, also their history
	Notices   string // the file of published notices
	Lock      string // the lock file of updates; one per Opt
	Downloads string // folder for archives on their way
	PGData    string // database cluster; copied before an update whose migrations an old version cannot live with

	HostID string // stable, secret to nobody: places this machine in staged rollouts
	OS     string // default: this machine's
	Arch   string
	Keep   int // old versions kept besides the one before; default 1

	ProbeFor    time.Duration // how long a started server may take to get ready; default 90 s
	ProbeSettle time.Duration // how long it must stay ready; default 0
	LockWait    time.Duration // how long to wait for another update

	Now   func() time.Time                    // default: time.Now
	Free  func(dir string) (int64, error)     // bytes free for this user; default: asks the file system
	Clone func(src, dst string) (bool, error) // tries to share src's blocks with dst; default: reflink where possible
	Crash func(point string)                  // tests end the process here
}

// Updater updates one installation.
type Updater struct {
	o Options
	p progress.Reporter

	closed, opened time.Time // when this process closed the server to users, and opened it again
}

// New returns an updater with o's defaults filled in. p may be nil.
func New(o Options, p progress.Reporter) *Updater {
	if o.OS == "" {
		o.OS = runtime.GOOS
	}
	if o.Arch == "" {
		o.Arch = runtime.GOARCH
	}
	if o.Keep == 0 {
		o.Keep = 1
	}
	if o.ProbeFor == 0 {
		o.ProbeFor = 90 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Free == nil {
		o.Free = freeBytes
	}
	if o.Clone == nil {
		o.Clone = reflink
	}
	if o.Crash == nil {
		o.Crash = func(string) {}
	}
	if p == nil {
		p = progress.None
	}
	return &Updater{o: o, p: p}
}

// slots returns the versions of a component.
func (u *Updater) slots(component string) slots.Slots {
	return slots.Slots{Dir: filepath.Join(u.o.Opt, component)}
}

// lock makes sure that one process at a time changes the installed versions. Error kind: Locked.
func (u *Updater) lock(ctx context.Context, what string) (context.Context, func() error, error) {
	held, l, err := lockfile.Acquire(ctx, u.o.Lock, what, u.o.LockWait)
	if err != nil {
		return nil, nil, err
	}
	return held, l.Release, nil
}

// Installed returns the live version of every installed component that carries the product's version.
func (u *Updater) Installed() (map[string]string, error) {
	live := map[string]string{}
	for _, name := range release.Components() {
		if name == release.Postgres {
			continue // it has a version of its own
		}
		version, err := u.slots(name).Current()
		switch {
		case uerr.KindOf(err) == uerr.NotFound && err != nil:
			continue
		case err != nil:
			return nil, err
		}
		live[name] = version
	}
	if len(live) == 0 {
		return nil, uerr.New(uerr.NotFound, "find what is installed in", u.o.Opt, errors.New("nothing is"), "practicectl install --help")
	}
	return live, nil
}

// oldest returns the product's version: the lowest of its components', so that one left behind is brought along.
func oldest(live map[string]string) string {
	low := ""
	for _, v := range live {
		if low == "" || release.CompareVersions(v, low) < 0 {
			low = v
		}
	}
	return low
}
