package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
)

// RunnerOptions say how the agent's own scheduler runs.
type RunnerOptions struct {
	State    string // JSON file of jobs, last runs and results
	NodeID   string
	Now      func() time.Time
	Location *time.Location
	// Run runs a job to its end and returns its exit code.
	Run func(ctx context.Context, j Job) int
	// Tick is how often the clock is looked at, so that a clock that jumps or a machine that slept is noticed.
	// 0: 20 seconds.
	Tick time.Duration
}

// Runner is the scheduler inside the agent. A job never overlaps itself. A run that was missed, because the machine was
// off or slept, is made up for once, however many were missed.
type Runner struct {
	o       RunnerOptions
	mu      sync.Mutex
	jobs    []runnerJob
	running map[string]bool
	wg      sync.WaitGroup
}

type runnerJob struct {
	Job
	// Seen is the instant up to which runs are accounted for.
	Seen time.Time `json:"seen"`
	Last *Result   `json:"last,omitempty"`
}

var _ Backend = (*Runner)(nil)

const (
	missedAfter = 10 * time.Minute
	// clockSlack: an instant accounted for that lies further ahead was written by a wrong clock, since set right.
	clockSlack = 2 * time.Hour
)

// NewRunner reads the jobs from o.State.
func NewRunner(o RunnerOptions) (*Runner, error) {
	setDefaults(&o)
	r := &Runner{o: o, running: map[string]bool{}}
	data, err := os.ReadFile(o.State)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &r.jobs)
	}
	if err != nil {
		return nil, uerr.New(uerr.Precond, "read the agent's jobs", o.State, err, "remove the file, then: practicectl schedule install")
	}
	return r, nil
}

func setDefaults(o *RunnerOptions) {
	if o.Tick == 0 {
		o.Tick = 20 * time.Second
	}
}

// Name returns "agent".
func (*Runner) Name() string { return "agent" }

// Install adds or replaces a job. Its first run is the next one from now.
func (r *Runner) Install(_ context.Context, j Job) (bool, error) {
	if err := j.Check(); err != nil {
		return false, uerr.New(uerr.Precond, "schedule", j.Name, err, "")
	}
	if j.When.Boot {
		return false, uerr.New(uerr.Precond, "schedule", j.Name, errors.New("the agent cannot start anything before it runs itself"),
			"practicectl schedule install "+j.Name+" --with cron")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.jobs, func(k runnerJob) bool { return k.Name == j.Name })
	switch {
	case i < 0:
		r.jobs = append(r.jobs, runnerJob{Job: j, Seen: r.o.Now()})
	case sameJob(r.jobs[i].Job, j):
		return false, nil
	default:
		r.jobs[i] = runnerJob{Job: j, Seen: r.o.Now(), Last: r.jobs[i].Last}
	}
	return true, r.save()
}

func sameJob(a, b Job) bool {
	return a.Title == b.Title && a.When.String() == b.When.String() && slices.Equal(a.Command, b.Command)
}

// Remove forgets a job. A run that goes on is not ended.
func (r *Runner) Remove(_ context.Context, name string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.jobs)
	r.jobs = slices.DeleteFunc(r.jobs, func(k runnerJob) bool { return k.Name == name })
	if len(r.jobs) == n {
		return false, nil
	}
	return true, r.save()
}

// List returns the jobs with their next and last runs.
func (r *Runner) List(context.Context) ([]Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries := make([]Entry, len(r.jobs))
	for i, j := range r.jobs {
		entries[i] = Entry{Job: j.Job, Backend: r.Name(), Next: r.due(&r.jobs[i], r.o.Now()), Last: j.Last}
	}
	return entries, nil
}

// Loop runs jobs when they are due, until ctx ends; then it waits for the jobs that run, which end with ctx too.
func (r *Runner) Loop(ctx context.Context) {
	ticker := time.NewTicker(r.o.Tick)
	defer ticker.Stop()
	defer r.wg.Wait()
	for {
		r.startDue(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// due returns when the job runs next; an instant not after now means it is due.
func (r *Runner) due(j *runnerJob, now time.Time) time.Time {
	if j.Seen.Sub(now) > clockSlack {
		j.Seen = now
	}
	return j.When.Plus(Jitter(r.o.NodeID, j.Name)).Next(j.Seen, r.o.Location)
}

// startDue starts every job that is due and does not run already.
func (r *Runner) startDue(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.o.Now()
	for i := range r.jobs {
		j := &r.jobs[i]
		due := r.due(j, now)
		if due.After(now) || r.running[j.Name] {
			continue
		}
		// Accounted for before it starts: a job that takes the machine down must not run again and again.
		j.Seen = now
		if err := r.save(); err != nil {
			j.Last = &Result{Started: now, Ended: now, Exit: uerr.ExitCode(err)}
			continue
		}
		r.running[j.Name] = true
		job, missed := j.Job, now.Sub(due) > missedAfter
		r.wg.Go(func() {
			exit := r.o.Run(ctx, job)
			r.finished(job.Name, Result{Started: now, Ended: r.o.Now(), Exit: exit, Missed: missed})
		})
	}
}

func (r *Runner) finished(name string, res Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, name)
	for i := range r.jobs {
		if r.jobs[i].Name == name {
			r.jobs[i].Last = &res
		}
	}
	_ = r.save() // the result stays in memory and is written with the next change
}

func (r *Runner) save() error {
	data, err := json.MarshalIndent(r.jobs, "", "  ")
	if err == nil {
		err = atomicfile.WriteBytes(r.o.State, 0o640, append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the agent's jobs: %w", err)
	}
	return nil
}
