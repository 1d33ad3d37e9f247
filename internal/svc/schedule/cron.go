package schedule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"practicectl/internal/uerr"
)

// Cron keeps jobs in the user's own crontab, between two marker lines of the instance. Every other line stays as it is,
// byte for byte.
type Cron struct {
	Program  string // "crontab", or its path
	Instance string // what the block is marked with, such as "main in /srv/practice"
	NodeID   string
	Now      func() time.Time
	Location *time.Location
}

var _ Backend = Cron{}

// Name returns "cron".
func (Cron) Name() string { return "cron" }

// Install puts the job into the crontab.
func (c Cron) Install(ctx context.Context, j Job) (bool, error) {
	if err := j.Check(); err != nil {
		return false, uerr.New(uerr.Precond, "schedule", j.Name, err, "")
	}
	return c.edit(ctx, func(jobs []Job) []Job {
		for i := range jobs {
			if jobs[i].Name == j.Name {
				jobs[i] = j
				return jobs
			}
		}
		return append(jobs, j)
	})
}

// Remove takes the job out of the crontab.
func (c Cron) Remove(ctx context.Context, name string) (bool, error) {
	return c.edit(ctx, func(jobs []Job) []Job {
		var kept []Job
		for _, j := range jobs {
			if j.Name != name {
				kept = append(kept, j)
			}
		}
		return kept
	})
}

// List returns the jobs of the block.
func (c Cron) List(ctx context.Context) ([]Entry, error) {
	tab, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	_, jobs, _, err := c.split(tab)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, len(jobs))
	for i, j := range jobs {
		entries[i] = Entry{Job: j, Backend: c.Name(), Next: j.When.Plus(Jitter(c.NodeID, j.Name)).Next(c.Now(), c.Location)}
	}
	return entries, nil
}

func (c Cron) edit(ctx context.Context, change func([]Job) []Job) (bool, error) {
	old, err := c.read(ctx)
	if err != nil {
		return false, err
	}
	before, jobs, after, err := c.split(old)
	if err != nil {
		return false, err
	}
	tab := before + c.block(change(jobs)) + after
	if tab == old {
		return false, nil
	}
	return true, c.write(ctx, tab)
}

func (c Cron) begin() string {
	return "# BEGIN practicectl " + oneLine(c.Instance) + " (managed: changes inside are overwritten)\n"
}
func (c Cron) end() string { return "# END practicectl " + oneLine(c.Instance) + "\n" }

// block writes each job as a comment that we read back and the line that cron reads.
func (c Cron) block(jobs []Job) string {
	if len(jobs) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(c.begin())
	for _, j := range jobs {
		data, err := json.Marshal(j)
		if err != nil {
			panic(err) // strings and ints always marshal
		}
		fmt.Fprintf(&b, "# %s\n%s %s\n", data, j.When.Plus(Jitter(c.NodeID, j.Name)).Cron(), shellLine(j.Command))
	}
	b.WriteString(c.end())
	return b.String()
}

// split takes the crontab apart around our block.
func (c Cron) split(tab string) (before string, jobs []Job, after string, err error) {
	start := strings.Index("\n"+tab, "\n"+c.begin())
	if start < 0 {
		if tab != "" && !strings.HasSuffix(tab, "\n") {
			tab += "\n"
		}
		return tab, nil, "", nil
	}
	length := strings.Index(tab[start:], "\n"+c.end())
	if length < 0 {
		return "", nil, "", uerr.New(uerr.Precond, "read", "the crontab", fmt.Errorf("the block of %q has no end line", c.Instance),
			"remove the block by hand with crontab -e, then run the same command again")
	}
	length++ // the newline before the end marker is the block's
	for line := range strings.Lines(tab[start : start+length]) {
		if data, ok := strings.CutPrefix(line, "# {"); ok {
			var j Job
			if err := json.Unmarshal([]byte("{"+data), &j); err != nil {
				return "", nil, "", uerr.New(uerr.Precond, "read", "the crontab", err, "remove the block by hand with crontab -e, then run the same command again")
			}
			jobs = append(jobs, j)
		}
	}
	return tab[:start], jobs, tab[start+length+len(c.end()):], nil
}

func (c Cron) read(ctx context.Context) (string, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, c.Program, "-l")
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil && strings.Contains(strings.ToLower(errs.String()), "no crontab") {
		return "", nil
	}
	if err != nil {
		return "", cronFailed("read", err, errs.String())
	}
	return out.String(), nil
}

func (c Cron) write(ctx context.Context, tab string) error {
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, c.Program, "-")
	cmd.Stdin, cmd.Stderr = strings.NewReader(tab), &errs
	if err := cmd.Run(); err != nil {
		return cronFailed("write", err, errs.String())
	}
	return nil
}

func cronFailed(op string, err error, said string) error {
	if said = oneLine(said); said != "" {
		err = errors.New(said)
	}
	return uerr.New(uerr.Precond, op, "the crontab", err, "use the agent instead: practicectl schedule install --with agent")
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// shellLine quotes a command for sh, and the percent sign for cron, which takes it for a newline.
func shellLine(command []string) string {
	words := make([]string, len(command))
	for i, w := range command {
		if w == "" || strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,+@") != "" {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		words[i] = strings.ReplaceAll(w, "%", `\%`)
	}
	return strings.Join(words, " ")
}
