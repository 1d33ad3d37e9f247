package client

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
)

const stateSchema = 1

// Server is the server that this workstation belongs to.
type Server struct {
	Schema      int         `json:"schema"`
	URL         string      `json:"url"` // "https://host:port"
	Fingerprint Fingerprint `json:"fingerprint"`
	Added       time.Time   `json:"added"`
}

// Running says where the daemon of this user answers.
type Running struct {
	Schema int    `json:"schema"`
	URL    string `json:"url"` // "http://127.0.0.1:port"
	PID    int    `json:"pid"`
}

// State is the folder of one user's client, mode 0700.
type State struct{ Dir string }

func (s State) serverFile() string  { return filepath.Join(s.Dir, "server.json") }
func (s State) runningFile() string { return filepath.Join(s.Dir, "running.json") }

// SaveServer remembers the server.
func (s State) SaveServer(v Server) error { return s.save(s.serverFile(), v) }

// Server returns the remembered server. Error kinds: NotFound, Integrity.
func (s State) Server() (Server, error) {
	var v Server
	err := load(s.serverFile(), &v)
	if errors.Is(err, fs.ErrNotExist) {
		return v, uerr.New(uerr.NotFound, "read", s.serverFile(), errors.New("this workstation is not connected to a server yet"), "practice-client connect https://server:8443 --fingerprint F")
	}
	if err == nil && v.Schema != stateSchema {
		err = errors.New("it was written by another version")
	}
	if err != nil {
		return v, uerr.New(uerr.Integrity, "read", s.serverFile(), err, "connect again: practice-client connect URL --fingerprint F")
	}
	return v, nil
}

// SaveRunning says where the daemon answers; the returned func takes it back.
func (s State) SaveRunning(v Running) (func() error, error) {
	if err := s.save(s.runningFile(), v); err != nil {
		return nil, err
	}
	return func() error { return os.Remove(s.runningFile()) }, nil
}

// Running returns what the last daemon wrote; false when there is none. A killed daemon leaves it behind, so ask it.
func (s State) Running() (Running, bool) {
	var v Running
	return v, load(s.runningFile(), &v) == nil && v.Schema == stateSchema
}

func (s State) save(path string, v any) error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return uerr.New(uerr.Precond, "make the state folder", s.Dir, err, "name another one: --state DIR")
	}
	data, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		err = atomicfile.WriteBytes(path, 0o600, append(data, '\n'))
	}
	if err != nil {
		return uerr.New(uerr.Failed, "write", path, err, "")
	}
	return nil
}

func load(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}
