package schedule

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"time"
)

// Job is a command that runs by itself.
type Job struct {
	Name    string   `json:"name"`    // "backup"
	Title   string   `json:"title"`   // for people: "nightly backup"
	When    When     `json:"when"`    // local time, before the host's jitter
	Command []string `json:"command"` // absolute program, then its arguments, --cron among them
}

var jobName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// Check refuses a job that could not run.
func (j Job) Check() error {
	if !jobName.MatchString(j.Name) {
		return fmt.Errorf("job name %q: want lower-case letters, digits and dashes", j.Name)
	}
	if len(j.Command) == 0 || !filepath.IsAbs(j.Command[0]) {
		return fmt.Errorf("job %s: the program needs an absolute path", j.Name)
	}
	return nil
}

// Result is how one run of a job ended.
type Result struct {
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
	Exit    int       `json:"exit"`
	Missed  bool      `json:"missed,omitempty"` // it made up for a run that the host slept through
}

// Entry is an installed job.
type Entry struct {
	Job
	Backend string    `json:"backend"`
	Next    time.Time `json:"next,omitzero"` // zero when the backend does not say
	Last    *Result   `json:"last,omitempty"`
}

// Backend keeps jobs where they run by themselves.
type Backend interface {
	Name() string // "systemd", "cron" or "agent"
	// Install adds or replaces a job and reports whether anything had to change.
	Install(ctx context.Context, j Job) (changed bool, err error)
	// Remove reports whether the job was there.
	Remove(ctx context.Context, name string) (removed bool, err error)
	List(ctx context.Context) ([]Entry, error)
}
