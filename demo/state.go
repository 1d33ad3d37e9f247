package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
)

// process is something that the demo left running.
type process struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	Log  string `json:"log"`
}

// state is what `demo down` needs to know, in a file that also marks the folder as the demo's own.
type state struct {
	Schema    int       `json:"schema"`
	Processes []process `json:"processes"`
	RunDirs   []string  `json:"run_dirs"` // folders of the demo outside of its own
	URL       string    `json:"url,omitempty"`
	path      string
}

const stateFile = "practicectl-demo.json"

func (s *state) save() error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(s.path, 0o644, data)
}

func (s *state) add(p process) error {
	s.Processes = append(s.Processes, p)
	return s.save()
}

func loadState(dir string) (*state, error) {
	path := filepath.Join(dir, stateFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, uerr.New(uerr.NotFound, "find a demo in", dir, errors.New("there is none"), "start one: practicectl demo up")
	}
	if err != nil {
		return nil, uerr.New(uerr.Failed, "read", path, err, "")
	}
	s := &state{path: path}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, uerr.New(uerr.Integrity, "read", path, err, "")
	}
	return s, nil
}

// stop ends the processes, last started first, and waits for them. A process id that belongs to another program by now
// is left alone.
func (s *state) stop(dir string) error {
	var errs []error
	for i := len(s.Processes) - 1; i >= 0; i-- {
		p := s.Processes[i]
		if !running(p.PID) || !ours(p.PID, dir) {
			continue
		}
		proc, err := os.FindProcess(p.PID)
		if err == nil {
			err = interrupt(proc)
		}
		if err == nil {
			err = waitGone(p)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("stop %s (pid %d): %w", p.Name, p.PID, err))
		}
	}
	return errors.Join(errs...)
}

func waitGone(p process) error {
	for range 600 {
		if !running(p.PID) || zombie(p.PID) {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("still there after 30 s; see " + p.Log)
}

// ours reports whether the process with this id was started by the demo in dir: its command line, environment or
// working folder says so. Where the system does not tell, it is believed.
func ours(pid int, dir string) bool {
	base := filepath.Join("/proc", fmt.Sprint(pid))
	if _, err := os.Stat(base); err != nil {
		return true
	}
	for _, file := range []string{"cmdline", "environ"} {
		if data, err := os.ReadFile(filepath.Join(base, file)); err == nil && strings.Contains(string(data), dir) {
			return true
		}
	}
	return false
}

// zombie reports whether the process has ended and only waits for its parent.
func zombie(pid int) bool {
	data, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "stat"))
	if err != nil {
		return false
	}
	_, rest, ok := strings.Cut(string(data), ") ")
	return ok && strings.HasPrefix(rest, "Z")
}
