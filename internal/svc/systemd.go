package svc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/svc/unit"
	"practicectl/internal/uerr"
)

// Systemd runs the services of one instance as units of the machine, named practice-<service>@<instance>.service.
type Systemd struct {
	Dir      string // of unit files: /etc/systemd/system
	Instance string
	Writable map[string][]string // folders that each service may write to
	Control  func(ctx context.Context, args ...string) (string, error)
}

var _ Manager = Systemd{}

// accounts are the system users that the services run as.
var accounts = map[string]string{Database: "practice-db", Server: "practice-server", Mirror: "practice-mirror", BackupStream: "practice-backup", "agent": "practice-agent"}

// Systemctl runs the real systemctl and returns what it said.
func Systemctl(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
	if err != nil {
		err = uerr.New(uerr.Failed, "systemctl", strings.Join(args, " "), fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out))), "")
	}
	return string(out), err
}

func (m Systemd) unit(name string) string { return "practice-" + name + "@" + m.Instance + ".service" }
func (m Systemd) path(name string) string { return filepath.Join(m.Dir, m.unit(name)) }

// Unit returns the unit file of s.
func (m Systemd) Unit(s Service) string {
	u := unit.Service{Description: "Practice " + s.Name + " (" + m.Instance + ")", User: accounts[s.Name], Command: s.Command, Env: s.Env,
		Dir: s.Dir, StopWithin: s.stopTimeout(), Writable: m.Writable[s.Name], Network: unit.LocalNet}
	if s.StopSignal != "" {
		u.StopSignal = "SIG" + s.StopSignal
	}
	u.Writable = append(slices.Clone(u.Writable), filepath.Dir(s.LogFile))
	switch s.Name {
	case Database:
		// Crash recovery may take long and must not be killed, and memory pressure hits everything else first.
		u.Network, u.NeverKill = unit.Localhost, true
	case Mirror, BackupStream, "agent":
		u.Network = unit.Anywhere
	}
	for _, a := range s.After {
		u.After = append(u.After, m.unit(a))
	}
	return u.String()
}

// Install writes the unit file.
func (m Systemd) Install(ctx context.Context, s Service) error {
	if err := s.Check(); err != nil {
		return uerr.New(uerr.Precond, "install service", s.Name, err, "")
	}
	if accounts[s.Name] == "" {
		return uerr.New(uerr.Precond, "install service", s.Name, errors.New("no system account is known for it"), "")
	}
	text := m.Unit(s)
	if old, err := os.ReadFile(m.path(s.Name)); err == nil && string(old) == text {
		return nil
	}
	if err := atomicfile.WriteBytes(m.path(s.Name), 0o644, []byte(text)); err != nil {
		return uerr.New(uerr.Precond, "write", m.path(s.Name), err, "")
	}
	return m.control(ctx, "daemon-reload")
}

// Remove stops and disables the unit and deletes its file.
func (m Systemd) Remove(ctx context.Context, name string) error {
	if _, err := os.Stat(m.path(name)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := m.control(ctx, "disable", "--now", m.unit(name)); err != nil {
		return err
	}
	if err := os.Remove(m.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return uerr.New(uerr.Precond, "remove", m.path(name), err, "")
	}
	return m.control(ctx, "daemon-reload")
}

// Start starts the unit now and at every boot.
func (m Systemd) Start(ctx context.Context, name string) error {
	return m.installed(ctx, name, "enable", "--now")
}

// Stop stops the unit; it stays down at the next boot too.
func (m Systemd) Stop(ctx context.Context, name string) error {
	return m.installed(ctx, name, "disable", "--now")
}

// Restart restarts the unit.
func (m Systemd) Restart(ctx context.Context, name string) error {
	return m.installed(ctx, name, "restart")
}

// Status asks systemd.
func (m Systemd) Status(ctx context.Context, name string) (Status, error) {
	if _, err := os.Stat(m.path(name)); errors.Is(err, fs.ErrNotExist) {
		return Status{}, notInstalled(name)
	}
	out, err := m.Control(ctx, "show", "--timestamp=unix", "--property=ActiveState,MainPID,NRestarts,StateChangeTimestamp,Result", m.unit(name))
	if err != nil {
		return Status{}, err
	}
	return parseShow(name, out), nil
}

func parseShow(name, out string) Status {
	st := Status{Name: name, State: Stopped}
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		switch key {
		case "ActiveState":
			known := map[string]State{"active": Running, "activating": Starting, "reloading": Running, "failed": Broken}
			if s, ok := known[value]; ok {
				st.State = s
			}
		case "MainPID":
			st.PID, _ = strconv.Atoi(value) // 0 when there is none
		case "NRestarts":
			st.Restarts, _ = strconv.Atoi(value)
		case "StateChangeTimestamp":
			if sec, err := strconv.ParseInt(strings.TrimPrefix(value, "@"), 10, 64); err == nil {
				st.Since = time.Unix(sec, 0).UTC()
			}
		case "Result":
			if value != "success" {
				st.LastExit = value
			}
		}
	}
	return st
}

// List returns the units of the instance, the database first.
func (m Systemd) List(ctx context.Context) ([]Status, error) {
	all := []Status{}
	for _, name := range []string{Database, Server, BackupStream, Mirror} {
		st, err := m.Status(ctx, name)
		if uerr.KindOf(err) == uerr.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, st)
	}
	return all, nil
}

func (m Systemd) installed(ctx context.Context, name string, args ...string) error {
	if _, err := os.Stat(m.path(name)); errors.Is(err, fs.ErrNotExist) {
		return notInstalled(name)
	}
	return m.control(ctx, append(args, m.unit(name))...)
}

func (m Systemd) control(ctx context.Context, args ...string) error {
	_, err := m.Control(ctx, args...)
	return err
}
