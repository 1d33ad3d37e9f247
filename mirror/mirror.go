// Package mirror keeps and serves a verified copy of a release repository.
//
// It holds no keys and is not trusted: it verifies what it copies, and every client verifies again what it serves. The
// worst it can do is withhold.
package mirror

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
	"practicectl/release"
)

// Settings are chosen once, by Init.
type Settings struct {
	Schema     int      `json:"schema"`
	Source     string   `json:"source"`               // URL or folder of the vendor's repository or another mirror
	Mode       string   `json:"mode"`                 // trust.Online, LAN or AirGap
	Channels   []string `json:"channels,omitempty"`   // empty: all
	Components []string `json:"components,omitempty"` // empty: all
	Platforms  []string `json:"platforms,omitempty"`  // "linux-amd64"; empty: all
}

// schema is the version of the mirror folder's format.
const schema = 1

// folder is the layout of a mirror on disk; docs/formats/release.md describes it.
type folder string

func (f folder) settings() string  { return filepath.Join(string(f), "mirror.json") }
func (f folder) repo() string      { return filepath.Join(string(f), "repo") }
func (f folder) trust() string     { return filepath.Join(string(f), "trust") }
func (f folder) downloads() string { return filepath.Join(string(f), "downloads") }
func (f folder) lock() string      { return filepath.Join(string(f), "sync.lock") }
func (f folder) lastSync() string  { return filepath.Join(string(f), "last-sync.json") }
func (f folder) counters() string  { return filepath.Join(string(f), "counters.json") }

// Init makes an empty mirror in dir. Running it again with the same settings changes nothing. Error kinds: Precond
// when there is a mirror with other settings, Config.
func Init(dir string, s Settings) error {
	const op = "make a mirror in"
	s.Schema = schema
	if s.Mode == "" {
		s.Mode = "online"
	}
	if s.Source == "" {
		return uerr.New(uerr.Config, op, dir, errors.New("no source"), "practicectl mirror init --source URL")
	}
	for _, c := range s.Channels {
		if !slices.Contains(release.Roles(), c) {
			return uerr.New(uerr.Config, op, dir, fmt.Errorf("there is no channel %q", c), "practicectl mirror init --help")
		}
	}
	if !strings.Contains(s.Source, "://") { // a folder: sync may run from anywhere
		abs, err := filepath.Abs(s.Source)
		if err != nil {
			return uerr.New(uerr.Config, op, dir, err, "")
		}
		s.Source = abs
	}
	f := folder(dir)
	if old, err := Load(dir); err == nil {
		if same(old, s) {
			return nil
		}
		return uerr.New(uerr.Precond, op, dir, errors.New("there is a mirror with other settings"), "practicectl mirror status --dir "+dir)
	} else if uerr.KindOf(err) != uerr.NotFound {
		return err
	}
	for _, d := range []string{filepath.Join(f.repo(), "metadata"), filepath.Join(f.repo(), "targets"), f.downloads()} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return uerr.New(uerr.Precond, op, dir, err, "choose a folder that this user may write")
		}
	}
	if err := writeJSON(f.settings(), s); err != nil { // last: it makes the folder a mirror
		return uerr.New(uerr.Precond, op, dir, err, "choose a folder that this user may write")
	}
	return nil
}

// Load reads the settings of the mirror in dir. Error kinds: NotFound, Config.
func Load(dir string) (Settings, error) {
	const op = "open the mirror in"
	var s Settings
	data, err := os.ReadFile(folder(dir).settings())
	if errors.Is(err, os.ErrNotExist) {
		return s, uerr.New(uerr.NotFound, op, dir, errors.New("there is none"), "practicectl mirror init --source URL --dir "+dir)
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err == nil && s.Schema > schema {
		err = fmt.Errorf("its format %d is newer than this program", s.Schema)
	}
	if err != nil {
		return s, uerr.New(uerr.Config, op, dir, err, "")
	}
	return s, nil
}

func same(a, b Settings) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(path, 0o644, append(data, '\n'))
}

// Status is what is known about a mirror without asking its source.
type Status struct {
	Dir      string      `json:"dir"`
	Settings Settings    `json:"settings"`
	Last     *SyncReport `json:"last_sync,omitempty"` // the last successful one
	Failed   *Failure    `json:"last_failure,omitempty"`
	Expired  bool        `json:"expired"` // clients in online mode refuse it now
	Files    int         `json:"files"`
	Bytes    int64       `json:"bytes"`
	Served   Counters    `json:"served"`
}

// Failure is a sync that changed nothing.
type Failure struct {
	When  time.Time `json:"when"`
	Kind  string    `json:"kind"`
	Error string    `json:"error"`
	Hint  string    `json:"hint,omitempty"`
}

// record is last-sync.json.
type record struct {
	Last   *SyncReport `json:"last,omitempty"`
	Failed *Failure    `json:"failed,omitempty"`
}

// Inspect reads the status of the mirror in dir. Error kinds: NotFound, Config.
func Inspect(dir string, now time.Time) (Status, error) {
	s, err := Load(dir)
	if err != nil {
		return Status{}, err
	}
	f := folder(dir)
	st := Status{Dir: dir, Settings: s}
	rec := f.record()
	st.Last, st.Failed = rec.Last, rec.Failed
	st.Expired = st.Last != nil && now.After(st.Last.Expires)
	st.Served = readCounters(f.counters())
	err = filepath.WalkDir(filepath.Join(f.repo(), "targets"), func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			st.Files++
			st.Bytes += info.Size()
		}
		return err
	})
	if err != nil {
		return st, uerr.New(uerr.Precond, "read the mirror in", dir, err, "")
	}
	return st, nil
}

// record reads what the last syncs did; a file that cannot be read is no reason to fail.
func (f folder) record() record {
	var rec record
	data, err := os.ReadFile(f.lastSync())
	if err != nil || json.Unmarshal(data, &rec) != nil {
		return record{}
	}
	return rec
}
