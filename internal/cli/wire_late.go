package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/nodeid"
	"practicectl/internal/paths"
	"practicectl/internal/svc/schedule"
	"practicectl/internal/uerr"
)

// wanted is what the instance expects to run by itself, since when: so it is noticed when what runs it is gone.
type wanted struct {
	When  schedule.When `json:"when"`
	Since time.Time     `json:"since"`
}

func wantedFile(l paths.Layout) string { return filepath.Join(l.Var(), "schedule.json") }

func readWanted(l paths.Layout) (map[string]wanted, error) {
	jobs := map[string]wanted{}
	data, err := os.ReadFile(wantedFile(l))
	if errors.Is(err, fs.ErrNotExist) {
		return jobs, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &jobs)
	}
	if err != nil {
		return nil, uerr.New(uerr.Precond, "read", wantedFile(l), err, "remove the file, then: practicectl schedule install")
	}
	return jobs, nil
}

// want changes what is expected to run.
func want(l paths.Layout, change func(jobs map[string]wanted)) error {
	jobs, err := readWanted(l)
	if err != nil {
		return err
	}
	change(jobs)
	data, err := json.MarshalIndent(jobs, "", "  ")
	if err == nil {
		err = os.MkdirAll(l.Var(), 0o750)
	}
	if err == nil {
		err = atomicfile.WriteBytes(wantedFile(l), 0o640, append(data, '\n'))
	}
	if err != nil {
		return uerr.New(uerr.Precond, "write", wantedFile(l), err, "run the command as the account that owns the instance")
	}
	return nil
}

// lateJob is how a scheduled job stands.
type lateJob struct {
	Name      string            `json:"job"`
	When      schedule.When     `json:"when"`
	State     schedule.Lateness `json:"state"`
	Succeeded time.Time         `json:"succeeded,omitzero"` // zero: never
	Next      time.Time         `json:"next,omitzero"`
	Runner    string            `json:"runner"` // "systemd", "cron" or "agent"; empty: nothing runs it
	Problem   string            `json:"problem,omitempty"`
}

// lateness judges each job that should run by itself.
func (r *run) lateness(ctx context.Context, l paths.Layout) ([]lateJob, error) {
	ways, err := r.scheduleBackends(ctx, l)
	if err != nil {
		return nil, err
	}
	jobs, err := readWanted(l)
	if err != nil {
		return nil, err
	}
	runners := map[string]schedule.Entry{}
	for _, way := range ways {
		entries, err := way.List(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			runners[e.Name] = e
			if _, ok := jobs[e.Name]; !ok {
				jobs[e.Name] = wanted{When: e.When}
			}
		}
	}
	id, err := nodeid.Read(nodeid.Path(l))
	if err != nil {
		return nil, uerr.New(uerr.Precond, "read", nodeid.Path(l), err, "")
	}
	out := []lateJob{}
	for _, name := range scheduledNames() {
		job, ok := jobs[name]
		if !ok {
			continue
		}
		out = append(out, r.late(l, name, job, runners[name], id))
	}
	return out, nil
}

// late judges one job.
func (r *run) late(l paths.Layout, name string, job wanted, runner schedule.Entry, id string) lateJob {
	now := r.now()
	j := lateJob{Name: name, When: job.When, Runner: runner.Backend, Next: runner.Next}
	var future bool
	j.Succeeded, future = r.lastSuccess(l, name)
	reference := j.Succeeded
	if reference.IsZero() {
		reference = job.Since
	}
	switch {
	case reference.IsZero() && future: // nothing but what lies in the future
		j.State = schedule.ClockWrong
	case !reference.IsZero():
		j.State = job.When.Plus(schedule.Jitter(id, name)).Judge(reference, now, r.location())
	}
	switch {
	case j.State == schedule.ClockWrong:
		j.Problem = "the clock of this machine is wrong, or was: runs are noted in the future"
	case j.State != schedule.OnTime && j.Succeeded.IsZero():
		j.Problem = fmt.Sprintf("%s has not succeeded since it was scheduled %s ago", name, span(now.Sub(job.Since)))
	case j.State != schedule.OnTime:
		j.Problem = fmt.Sprintf("%s succeeded last %s ago", name, span(now.Sub(j.Succeeded)))
	case j.Runner == "":
		j.Problem = "nothing runs " + name + " any more: what it was scheduled with does not run or has lost it"
	}
	return j
}

// lastSuccess is when a job last succeeded, by itself or by hand. A success in the future was noted by a clock that was wrong: it
// tells nothing, and future is true.
func (r *run) lastSuccess(l paths.Layout, job string) (at time.Time, future bool) {
	var all []time.Time
	if last, err := readLastRun(l, job); err == nil && !last.Succeeded.IsZero() {
		all = append(all, last.Succeeded)
	}
	if records, err := keeperOf(l, r.now).List(job); err == nil {
		for _, one := range records {
			if one.OK() {
				all = append(all, one.Ended)
			}
		}
	}
	for _, t := range all {
		switch {
		case t.Sub(r.now()) > time.Hour:
			future = true
		case t.After(at):
			at = t
		}
	}
	return at, future
}
