// Package runs keeps what jobs did that ran by themselves: a record and a log for each run, the newest ones of each job.
//
// Runs are numbered, so that a clock that jumps does not mix them up. A record is written when a run begins and again when it
// ends; one that never ended belongs to a run that was killed.
package runs

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/diskspace"
	"practicectl/internal/uerr"
)

// Run is one run of a job.
type Run struct {
	ID      string          `json:"id"` // "backup-00000042"
	Job     string          `json:"job"`
	Command []string        `json:"command"`
	Started time.Time       `json:"started"`
	Ended   time.Time       `json:"ended,omitzero"` // zero: it runs, or was killed
	Exit    int             `json:"exit"`
	Kind    string          `json:"kind,omitempty"` // of the error
	Error   string          `json:"error,omitempty"`
	Hint    string          `json:"hint,omitempty"`
	Log     string          `json:"log"` // file
	Result  json.RawMessage `json:"result,omitempty"`
}

// Killed is the exit code in the record of a run that did not live to write its end.
const Killed = 137

// OK tells whether the run did its work.
func (r Run) OK() bool { return !r.Ended.IsZero() && r.Exit == 0 }

// Keeper keeps runs in a folder.
type Keeper struct {
	Dir  string
	Keep int // runs of each job; 0: 100
	Now  func() time.Time
}

var recordName = regexp.MustCompile(`^([a-z][a-z0-9-]*)-([0-9]{8})\.json$`)

// Begin notes the beginning of a run and opens its log. The caller holds the job's lock: an earlier run without an end was killed
// and gets one. Error kinds: Precond, NoSpace.
func (k Keeper) Begin(job string, command []string) (*Run, *os.File, error) {
	if err := os.MkdirAll(k.Dir, 0o750); err != nil {
		return nil, nil, failed("make the folder of logs", k.Dir, err)
	}
	before, err := k.List(job)
	if err != nil {
		return nil, nil, err
	}
	number := 1
	for i, old := range before {
		if i == 0 {
			number = numberOf(old.ID) + 1
		}
		if old.Ended.IsZero() {
			old.Ended, old.Exit, old.Error = old.Started, Killed, "it was killed, or the machine went down"
			if err := k.save(old); err != nil {
				return nil, nil, err
			}
		}
	}
	if err := k.forget(before); err != nil {
		return nil, nil, err
	}
	id := fmt.Sprintf("%s-%08d", job, number)
	r := &Run{ID: id, Job: job, Command: command, Started: k.Now().UTC(), Log: filepath.Join(k.Dir, id+".log")}
	log, err := os.OpenFile(r.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, nil, failed("open the log", r.Log, err)
	}
	if err := k.save(*r); err != nil {
		return nil, nil, errors.Join(err, log.Close())
	}
	return r, log, nil
}

// End writes the record of a run that is over. Error kinds: Precond, NoSpace.
func (k Keeper) End(r *Run) error {
	r.Ended = k.Now().UTC()
	return k.save(*r)
}

// List returns the runs of a job, or of all ("") jobs, the newest first. Records that cannot be read are left out.
func (k Keeper) List(job string) ([]Run, error) {
	entries, err := os.ReadDir(k.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failed("read", k.Dir, err)
	}
	var out []Run
	for _, e := range entries {
		m := recordName.FindStringSubmatch(e.Name())
		if m == nil || job != "" && m[1] != job {
			continue
		}
		var r Run
		data, err := os.ReadFile(filepath.Join(k.Dir, e.Name()))
		if err == nil && json.Unmarshal(data, &r) == nil && r.Job == m[1] && r.ID+".json" == e.Name() {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Run) int {
		if a.Job == b.Job {
			return cmp.Compare(numberOf(b.ID), numberOf(a.ID))
		}
		return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(a.Job, b.Job))
	})
	return out, nil
}

// Find returns the run with the id. Error kind: NotFound.
func (k Keeper) Find(id string) (Run, error) {
	all, err := k.List("")
	if err != nil {
		return Run{}, err
	}
	for _, r := range all {
		if r.ID == id {
			return r, nil
		}
	}
	return Run{}, uerr.New(uerr.NotFound, "find the run", id, errors.New("there is none, or not any more"), "practicectl job history")
}

// forget removes the oldest runs beyond those that are kept. newest first.
func (k Keeper) forget(newest []Run) error {
	keep := max(cmp.Or(k.Keep, 100)-1, 0) // one more begins
	for _, old := range newest[min(keep, len(newest)):] {
		for _, name := range []string{old.ID + ".log", old.ID + ".json"} {
			if err := os.Remove(filepath.Join(k.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return failed("remove the old", name, err)
			}
		}
	}
	return nil
}

func (k Keeper) save(r Run) error {
	path := filepath.Join(k.Dir, r.ID+".json")
	data, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = atomicfile.WriteBytes(path, 0o640, append(data, '\n'))
	}
	if err != nil {
		return failed("write", path, err)
	}
	return nil
}

func failed(op, path string, err error) error {
	if diskspace.IsFull(err) {
		return uerr.New(uerr.NoSpace, op, path, err, "make room on that disk")
	}
	return uerr.New(uerr.Precond, op, path, err, "run the command as the account that owns the instance")
}

func numberOf(id string) int {
	n, _ := strconv.Atoi(id[len(id)-8:]) // the form was checked
	return n
}
