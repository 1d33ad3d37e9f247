package schedule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/svc/unit"
	"practicectl/internal/uerr"
)

// Systemd keeps jobs as timer units: of the machine, or of the user's own systemd.
type Systemd struct {
	Dir      string   // of unit files, such as /etc/systemd/system
	User     bool     // systemctl --user
	RunAs    string   // account of the machine's units; empty in a user's systemd
	Suffix   string   // instance part of the unit names, such as "main"
	Writable []string // folders that a job of the machine may write to
	NodeID   string
	Now      func() time.Time
	Location *time.Location
	Control  func(ctx context.Context, args ...string) error // systemctl; nil: the real one
}

var _ Backend = Systemd{}

// Name returns "systemd".
func (Systemd) Name() string { return "systemd" }

func (s Systemd) unit(job, kind string) string {
	return "practice-" + job + "@" + s.Suffix + "." + kind
}

// marker begins the line of the unit that is enabled; it holds the job as we read it back.
const marker = "# job "

func (s Systemd) files(j Job) (map[string]string, error) {
	data, err := json.Marshal(j)
	if j.When.Boot {
		service := unit.Service{Description: j.Title + " (practice " + s.Suffix + ")", User: s.RunAs, Command: j.Command, Writable: s.Writable, Network: unit.Anywhere}
		return map[string]string{s.unit(j.Name, "service"): marker + string(data) + "\n" + service.String()}, err
	}
	service := unit.Service{Description: j.Title + " (practice " + s.Suffix + ")", User: s.RunAs, Command: j.Command, Oneshot: true,
		StartWithin: 8 * time.Hour, Writable: s.Writable, Network: unit.Anywhere}
	timer := unit.Timer{Description: j.Title + " (practice " + s.Suffix + ")", OnCalendar: j.When.OnCalendar(), Spread: Spread}
	return map[string]string{
		s.unit(j.Name, "service"): service.String(),
		s.unit(j.Name, "timer"):   marker + string(data) + "\n" + timer.String(),
	}, err
}

// starts is the unit that is enabled: the timer, or the service itself when it starts with the machine.
func (s Systemd) starts(j Job) string {
	if j.When.Boot {
		return s.unit(j.Name, "service")
	}
	return s.unit(j.Name, "timer")
}

// Install writes the units and starts the timer. What starts with the machine is not started now.
func (s Systemd) Install(ctx context.Context, j Job) (bool, error) {
	if err := j.Check(); err != nil {
		return false, uerr.New(uerr.Precond, "schedule", j.Name, err, "")
	}
	files, err := s.files(j)
	if err != nil {
		return false, err
	}
	changed := false
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return false, uerr.New(uerr.Precond, "make", s.Dir, err, "")
	}
	for name, text := range files {
		path := filepath.Join(s.Dir, name)
		if old, err := os.ReadFile(path); err == nil && string(old) == text {
			continue
		}
		changed = true
		if err := atomicfile.WriteBytes(path, 0o644, []byte(text)); err != nil {
			return false, uerr.New(uerr.Precond, "write", path, err, "")
		}
	}
	if !changed {
		return false, nil
	}
	if err := s.control(ctx, "daemon-reload"); err != nil {
		return false, err
	}
	if err := s.control(ctx, "enable", s.starts(j)); err != nil || j.When.Boot {
		return true, err
	}
	return true, s.control(ctx, "restart", s.unit(j.Name, "timer")) // restart: a running timer takes the new time
}

// Remove disables the job and deletes its units. A service that runs goes on running.
func (s Systemd) Remove(ctx context.Context, name string) (bool, error) {
	entries, err := s.List(ctx)
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return false, nil
	}
	disable := []string{"disable", "--now", s.starts(entries[i].Job)}
	if entries[i].When.Boot {
		disable = []string{"disable", s.starts(entries[i].Job)}
	}
	if err := s.control(ctx, disable...); err != nil {
		return false, err
	}
	for _, kind := range []string{"timer", "service"} {
		path := filepath.Join(s.Dir, s.unit(name, kind))
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, uerr.New(uerr.Precond, "remove", path, err, "")
		}
	}
	return true, s.control(ctx, "daemon-reload")
}

// List returns the jobs whose units are there.
func (s Systemd) List(context.Context) ([]Entry, error) {
	names, err := fs.Glob(os.DirFS(s.Dir), s.unit("*", "*"))
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, name := range names {
		path := filepath.Join(s.Dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, uerr.New(uerr.Precond, "read", path, err, "")
		}
		first, _, _ := bytes.Cut(data, []byte("\n"))
		var j Job
		if text, ok := strings.CutPrefix(string(first), marker); ok && json.Unmarshal([]byte(text), &j) == nil {
			entries = append(entries, Entry{Job: j, Backend: s.Name(), Next: j.When.Next(s.Now(), s.Location)})
		}
	}
	return entries, nil
}

func (s Systemd) control(ctx context.Context, args ...string) error {
	if s.User {
		args = append([]string{"--user"}, args...)
	}
	if s.Control != nil {
		return s.Control(ctx, args...)
	}
	out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
	if err != nil {
		if said := oneLine(string(out)); said != "" {
			err = errors.New(said)
		}
		return uerr.New(uerr.Precond, "systemctl", strings.Join(args, " "), err, "use another way: practicectl schedule install --with cron")
	}
	return nil
}
