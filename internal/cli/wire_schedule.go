package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"practicectl/internal/nodeid"
	"practicectl/internal/paths"
	"practicectl/internal/slots"
	"practicectl/internal/svc"
	"practicectl/internal/svc/schedule"
	"practicectl/internal/uerr"
	"practicectl/release"
)

// scheduled are the jobs that practicectl can run by itself.
var scheduled = []struct {
	name, title, at string
	args            []string
}{
	{"backup", "Nightly backup", "daily 01:30", []string{"backup", "run"}},
	{"verify", "Weekly check of the backups", "sun 04:00", []string{"backup", "verify"}},
	{"prune", "Weekly clearing of the backups", "sun 05:30", []string{"backup", "prune", "--yes"}},
	{"drill", "Weekly drill", "sun 06:30", []string{"drill", "run"}},
	{"heal", "Weekly comparison of the stores", "sat 04:00", []string{"backup", "heal"}},
	{"update", "Nightly update", "daily 03:30", []string{"update", "apply"}},
	{"mirror", "Nightly sync of the mirror", "daily 00:15", []string{"mirror", "sync"}},
	{"agent", "Agent that supervises the services", "boot", []string{"agent", "run"}},
}

// The ways to run jobs.
var scheduleWays = []string{"auto", "systemd", "cron", "agent"}

func scheduledNames() []string {
	names := make([]string, len(scheduled))
	for i, s := range scheduled {
		names[i] = s.name
	}
	return names
}

// jobNames are the jobs that run and end.
func jobNames() []string {
	var names []string
	for _, s := range scheduled {
		if s.at != "boot" {
			names = append(names, s.name)
		}
	}
	return names
}

// jobArgs is the command of a job.
func jobArgs(name string) []string {
	return scheduled[slices.Index(scheduledNames(), name)].args
}

// job is a scheduled job of the instance; at replaces its usual time.
func (r *run) job(l paths.Layout, name, at string) (schedule.Job, error) {
	i := slices.Index(scheduledNames(), name)
	if i < 0 {
		return schedule.Job{}, uerr.New(uerr.Usage, "schedule", name, errors.New("want some of "+strings.Join(scheduledNames(), ", ")), "practicectl schedule install --help")
	}
	s := scheduled[i]
	if name == "drill" { // before it fails every week
		if _, err := r.drillIdentity(identityFlags{}); err != nil {
			return schedule.Job{}, uerr.New(uerr.Precond, "schedule", name, err, "set [drill] identity in practice.toml of a machine that only drills; elsewhere bring the identity: practicectl drill run --identity FILE")
		}
	}
	if at == "" {
		at = s.at
	}
	when, err := schedule.Parse(at)
	if err != nil {
		return schedule.Job{}, uerr.New(uerr.Usage, "schedule", name, err, "practicectl schedule install "+name+" --at 02:30")
	}
	program, err := r.installedProgram(l)
	if err != nil {
		return schedule.Job{}, err
	}
	command := []string{program, "--prefix", l.Prefix, "--instance", l.Instance}
	if when.Boot {
		command = append(command, s.args...)
	} else {
		command = append(command, "job", "run", s.name)
	}
	return schedule.Job{Name: s.name, Title: s.title, When: when, Command: append(command, "--cron")}, nil
}

// installedProgram is practicectl by the name that stays when it is updated; this very program where none is installed.
func (r *run) installedProgram(l paths.Layout) (string, error) {
	s := slots.Slots{Dir: l.Component(release.Practicectl)}
	if _, err := s.Current(); err == nil {
		for _, path := range []string{"practicectl", "bin/practicectl", "practicectl.exe", "bin/practicectl.exe"} {
			if full := filepath.Join(s.CurrentPath(), filepath.FromSlash(path)); isFile(full) {
				return full, nil
			}
		}
	}
	return os.Executable()
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// scheduleBackends returns the ways that work on this machine, the best one first.
func (r *run) scheduleBackends(ctx context.Context, l paths.Layout) ([]schedule.Backend, error) {
	id, err := nodeid.Read(nodeid.Path(l))
	if err != nil {
		return nil, uerr.New(uerr.Precond, "read", nodeid.Path(l), err, "")
	}
	var ways []schedule.Backend
	if s, ok := r.systemdTimers(l, id); ok {
		ways = append(ways, s)
	}
	if program, err := exec.LookPath("crontab"); err == nil && cronRuns() {
		ways = append(ways, schedule.Cron{Program: program, Instance: l.Instance + " in " + l.Prefix, NodeID: id, Now: r.now, Location: r.location()})
	}
	if agent := svc.Open(l); agentAnswers(ctx, agent) {
		ways = append(ways, agent.Jobs())
	}
	return ways, nil
}

func agentAnswers(ctx context.Context, a *svc.Agent) bool {
	_, err := a.Info(ctx)
	return err == nil
}

// systemdTimers is the systemd of the machine for root, and the user's own for everybody else.
func (r *run) systemdTimers(l paths.Layout, id string) (schedule.Systemd, bool) {
	s := schedule.Systemd{Suffix: l.Instance, NodeID: id, Now: r.now, Location: r.location()}
	if os.Geteuid() == 0 {
		s.Dir, s.RunAs, s.Writable = "/etc/systemd/system", "practice-backup", []string{l.Var(), l.Log(), l.Run()}
		return s, l.Prefix == "/" && exists("/run/systemd/system")
	}
	runtimeDir, home := r.app.Getenv("XDG_RUNTIME_DIR"), r.app.Getenv("HOME")
	sum := sha256.Sum256([]byte(l.Prefix)) // one user may have several prefixes
	s.User, s.Suffix = true, l.Instance+"-"+hex.EncodeToString(sum[:4])
	s.Dir = filepath.Join(home, ".config", "systemd", "user")
	return s, runtimeDir != "" && home != "" && exists(filepath.Join(runtimeDir, "systemd", "private"))
}

// cronRuns reports whether a cron daemon is there to read crontabs.
func cronRuns() bool {
	return slices.ContainsFunc([]string{"/run/crond.pid", "/var/run/crond.pid", "/run/cron.pid", "/var/run/cron.pid"}, exists)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// scheduleWay picks a backend for a job by name; "auto" is the best one. The agent cannot start itself.
func scheduleWay(ways []schedule.Backend, name string, j schedule.Job) (schedule.Backend, error) {
	for _, w := range ways {
		if name == w.Name() || name == "auto" && !(j.When.Boot && w.Name() == "agent") {
			return w, nil
		}
	}
	if name == "auto" && j.When.Boot {
		return nil, uerr.New(uerr.Precond, "schedule", j.Name, errors.New("neither systemd nor cron runs here"),
			"have this run when the machine starts: "+shellLine(j.Command))
	}
	if name == "auto" {
		return nil, uerr.New(uerr.Precond, "schedule", "", errors.New("neither systemd nor cron nor an agent runs here"), "start the agent: practicectl agent run")
	}
	return nil, uerr.New(uerr.Precond, "schedule with", name, errors.New("it does not run here"), "practicectl schedule install --with auto")
}

// unschedule removes jobs wherever they are; nil means all.
func (r *run) unschedule(ctx context.Context, l paths.Layout, names []string) error {
	_, err := r.removeJobs(ctx, l, names)
	return err
}

func (r *run) removeJobs(ctx context.Context, l paths.Layout, names []string) ([]string, error) {
	ways, err := r.scheduleBackends(ctx, l)
	if err != nil {
		return nil, err
	}
	removed := []string{}
	for _, w := range ways {
		entries, err := w.List(ctx)
		if err != nil {
			return removed, err
		}
		for _, e := range entries {
			if names != nil && !slices.Contains(names, e.Name) {
				continue
			}
			if _, err := w.Remove(ctx, e.Name); err != nil {
				return removed, err
			}
			removed = append(removed, e.Name)
		}
	}
	if !exists(wantedFile(l)) {
		return removed, nil
	}
	// What nothing runs any more is forgotten too.
	err = want(l, func(jobs map[string]wanted) {
		for name := range jobs {
			if names == nil || slices.Contains(names, name) {
				delete(jobs, name)
				if !slices.Contains(removed, name) {
					removed = append(removed, name)
				}
			}
		}
	})
	return removed, err
}
