package svc

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
)

// agentState is what the agent knows after a restart: the services, which of them should run, and which processes it
// had started.
type agentState struct {
	mu       sync.Mutex
	dir      string
	Services map[string]Service `json:"services"`
	Wanted   []string           `json:"wanted"`
	running  map[string]process
}

type process struct {
	PID        int    `json:"pid"`
	Mark       string `json:"mark"` // see processMark
	StopSignal string `json:"stop_signal"`
}

func (a *agentState) file() string    { return filepath.Join(a.dir, "services.json") }
func (a *agentState) runFile() string { return filepath.Join(a.dir, "running.json") }

func loadState(dir string) (*agentState, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, uerr.New(uerr.Precond, "make the agent's folder", dir, err, "")
	}
	a := &agentState{dir: dir, Services: map[string]Service{}, running: map[string]process{}}
	for path, v := range map[string]any{a.file(): a, a.runFile(): &a.running} {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = json.Unmarshal(data, v)
		}
		if err != nil {
			return nil, uerr.New(uerr.Precond, "read the agent's state", path, err, "remove the file, then: practicectl install")
		}
	}
	return a, nil
}

// change applies fn and makes the result durable.
func (a *agentState) change(fn func()) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	fn()
	return writeJSON(a.file(), a)
}

func (a *agentState) want(name string, up bool) error {
	return a.change(func() {
		a.Wanted = slices.DeleteFunc(a.Wanted, func(n string) bool { return n == name })
		if up {
			a.Wanted = append(a.Wanted, name)
		}
	})
}

func (a *agentState) service(name string) (Service, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.Services[name]
	if !ok {
		return s, notInstalled(name)
	}
	return s, nil
}

// names returns all services in start order.
func (a *agentState) names() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return order(a.Services)
}

func (a *agentState) wanted(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Contains(a.Wanted, name)
}

// changed remembers a process, so that the next agent finds it should this one be killed.
func (a *agentState) changed(name string, pid int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if pid == 0 {
		delete(a.running, name)
	} else {
		a.running[name] = process{PID: pid, Mark: processMark(pid), StopSignal: a.Services[name].StopSignal}
	}
	_ = writeJSON(a.runFile(), a.running) // only needed after a crash of the agent; the service matters more
}

// endLeftovers stops what an agent that was killed left running: nobody would see those processes crash, and the new
// ones need their ports.
func (a *agentState) endLeftovers(grace time.Duration) {
	for name, p := range a.running {
		if p.Mark == "" || processMark(p.PID) != p.Mark {
			continue // gone, or another program by now
		}
		_ = signalLeader(p.PID, p.StopSignal)
		for end := time.Now().Add(grace); processMark(p.PID) == p.Mark && time.Now().Before(end); {
			time.Sleep(20 * time.Millisecond)
		}
		_ = killGroup(p.PID)
		delete(a.running, name)
	}
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		err = atomicfile.WriteBytes(path, 0o640, append(data, '\n'))
	}
	if err != nil {
		return uerr.New(uerr.Precond, "write", path, err, "free some disk space, then run the same command again")
	}
	return nil
}
