// Package svc keeps the services of an instance running: under systemd, or as plain processes that our own agent
// supervises.
package svc

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"practicectl/internal/uerr"
)

// The services of the product.
const (
	Database = "database"
	Server   = "server"
	Mirror   = "mirror"
	// BackupStream stores the write-ahead log while it is written.
	BackupStream = "backup-stream"
)

// Service is one long-running program in the foreground. It is plain data: it travels to the agent as JSON.
type Service struct {
	Name        string        `json:"name"`    // "database", "server", "mirror", "backup-stream"
	Command     []string      `json:"command"` // absolute program, then its arguments
	Env         []string      `json:"env"`     // "NAME=value", added to the agent's own; no secrets
	Dir         string        `json:"dir"`     // working directory; empty: "/"
	StopSignal  string        `json:"stop_signal"`
	StopTimeout time.Duration `json:"stop_timeout"` // then KILL; 0: one minute
	ReadyWithin time.Duration `json:"ready_within"` // Start gives up after this; 0: one minute
	Ready       string        `json:"ready"`        // "unix:PATH" or "tcp:HOST:PORT" accepts connections, "postgres:DATA" lets people in; empty: it runs
	LogFile     string        `json:"log_file"`     // stdout and stderr, mode 0640, rotated
	After       []string      `json:"after"`        // services that must be up first, and go down later
}

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// Check refuses a service that could not run.
func (s Service) Check() error {
	switch {
	case !serviceName.MatchString(s.Name):
		return fmt.Errorf("service name %q: want lower-case letters, digits and dashes", s.Name)
	case len(s.Command) == 0 || !filepath.IsAbs(s.Command[0]):
		return fmt.Errorf("service %s: the program needs an absolute path", s.Name)
	case s.LogFile == "" || !filepath.IsAbs(s.LogFile):
		return fmt.Errorf("service %s: the log file needs an absolute path", s.Name)
	case s.StopSignal != "" && !slices.Contains(stopSignals, s.StopSignal):
		return fmt.Errorf("service %s: stop signal %q: want one of %v", s.Name, s.StopSignal, stopSignals)
	}
	return nil
}

var stopSignals = []string{"INT", "TERM", "QUIT"}

func (s Service) stopTimeout() time.Duration { return orMinute(s.StopTimeout) }
func (s Service) readyWithin() time.Duration { return orMinute(s.ReadyWithin) }

func orMinute(d time.Duration) time.Duration {
	if d <= 0 {
		return time.Minute
	}
	return d
}

// State is what a service is doing.
type State string

// The states of a service.
const (
	Stopped  State = "stopped"
	Starting State = "starting" // started, not ready yet
	Running  State = "running"
	Waiting  State = "waiting" // crashed; starts again after a pause
	Broken   State = "broken"  // crashed too often; stays down until started again
)

// Status is one service as it is now.
type Status struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	PID      int       `json:"pid,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Restarts int       `json:"restarts"`            // after crashes, since it was started by command
	LastExit string    `json:"last_exit,omitempty"` // such as "exit status 1"
	LogFile  string    `json:"log_file,omitempty"`
}

// Manager installs and runs services. Error kinds: NotFound for a service that is not installed, Unreachable when the
// agent does not answer, Failed when a service does not come up.
type Manager interface {
	// Install writes or replaces the definition of a service. A running service keeps running as it was.
	Install(ctx context.Context, s Service) error
	// Remove stops the service and forgets it. Removing what is not there is no error.
	Remove(ctx context.Context, name string) error
	// Start returns when the service is ready; it then also starts by itself after a reboot or an agent restart.
	Start(ctx context.Context, name string) error
	// Stop returns when no process of the service is left.
	Stop(ctx context.Context, name string) error
	// Restart is Stop, then Start.
	Restart(ctx context.Context, name string) error
	Status(ctx context.Context, name string) (Status, error)
	// List returns all installed services in start order.
	List(ctx context.Context) ([]Status, error)
}

// order sorts services so that each comes after those it names in After. Unknown names in After do not count.
func order(all map[string]Service) []string {
	names := slices.Sorted(func(yield func(string) bool) {
		for n := range all {
			if !yield(n) {
				return
			}
		}
	})
	var sorted []string
	seen := map[string]bool{}
	var visit func(string)
	visit = func(n string) {
		s, known := all[n]
		if seen[n] || !known {
			return
		}
		seen[n] = true // before its dependencies: a cycle ends here
		for _, a := range s.After {
			visit(a)
		}
		sorted = append(sorted, n)
	}
	for _, n := range names {
		visit(n)
	}
	return sorted
}

func notInstalled(name string) error {
	return uerr.New(uerr.NotFound, "service", name, errors.New("not installed"), "see what is: practicectl component list")
}
