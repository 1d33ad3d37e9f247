package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"practicectl/internal/progress"
)

// reporter chooses, once, how this run shows progress.
func (a *app) reporter() progress.Reporter {
	mode := a.global.progress
	if mode == "auto" {
		switch {
		case a.global.quiet:
			mode = "none"
		case a.global.output == "jsonl":
			mode = "json"
		case isTerminal(a.Err) && a.Getenv("TERM") != "dumb":
			mode = "bar"
		default:
			mode = "plain"
		}
	}
	switch mode {
	case "bar":
		return &bars{w: a.Err}
	case "plain":
		return &plain{w: a.Err, now: a.Now}
	case "json":
		return &jsonLines{w: a.Err}
	}
	return &silent{w: a.Err, quiet: a.global.quiet}
}

// bars draws one bar at a time on a terminal and clears it at its end.
type bars struct {
	mu  sync.Mutex
	w   io.Writer
	now *progressbar.ProgressBar
}

func (b *bars) Task(name string, unit progress.Unit, total int64) progress.Task {
	b.mu.Lock()
	defer b.mu.Unlock()
	if total == 0 {
		total = -1 // a spinner
	}
	bar := progressbar.NewOptions64(total, progressbar.OptionSetWriter(b.w), progressbar.OptionSetDescription(name),
		progressbar.OptionShowBytes(unit == progress.Bytes), progressbar.OptionShowCount(), progressbar.OptionSetWidth(24),
		progressbar.OptionThrottle(65*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSpinnerType(14))
	b.now = bar
	return &barTask{parent: b, bar: bar, total: total}
}

func (b *bars) Note(format string, args ...any) { b.line("", format, args...) }
func (b *bars) Warn(format string, args ...any) { b.line("warning: ", format, args...) }

func (b *bars) line(head, format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now != nil {
		_ = b.now.Clear() // only cosmetics can fail here
	}
	fmt.Fprintf(b.w, head+format+"\n", args...)
}

func (b *bars) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now != nil {
		_ = b.now.Clear()
	}
}

type barTask struct {
	parent *bars
	bar    *progressbar.ProgressBar
	total  int64
}

func (t *barTask) Add(n int64) {
	t.parent.mu.Lock()
	defer t.parent.mu.Unlock()
	_ = t.bar.Add64(n) // only cosmetics can fail here
}

func (t *barTask) Grow(n int64) {
	t.parent.mu.Lock()
	defer t.parent.mu.Unlock()
	t.total = max(t.total, 0) + n
	t.bar.ChangeMax64(t.total)
}

func (t *barTask) Done() {
	t.parent.mu.Lock()
	defer t.parent.mu.Unlock()
	_ = t.bar.Clear()
	if t.parent.now == t.bar {
		t.parent.now = nil
	}
}

// plain writes a line when a task begins, at every tenth part of it or every 30 seconds, and when it ends.
type plain struct {
	mu  sync.Mutex
	w   io.Writer
	now func() time.Time
}

func (p *plain) Task(name string, unit progress.Unit, total int64) progress.Task {
	return &plainTask{p: p, name: name, unit: unit, total: total, last: p.now(), began: p.now()}
}

func (p *plain) Note(format string, args ...any) { p.line(format, args...) }
func (p *plain) Warn(format string, args ...any) { p.line("warning: "+format, args...) }

func (p *plain) line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, format+"\n", args...)
}

type plainTask struct {
	p           *plain
	mu          sync.Mutex
	name        string
	unit        progress.Unit
	done, total int64
	tenth       int64
	began, last time.Time
}

func (t *plainTask) Add(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done += n
	tenth := int64(0)
	if t.total > 0 {
		tenth = t.done * 10 / t.total
	}
	now := t.p.now()
	// Short work needs no lines at all: nothing is said in the first two seconds.
	if now.Sub(t.began) < 2*time.Second || (tenth == t.tenth && now.Sub(t.last) < 30*time.Second) {
		return
	}
	t.tenth, t.last = tenth, now
	t.p.line("  %s: %s", t.name, t.amount())
}

func (t *plainTask) Grow(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total += n
}

func (t *plainTask) Done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p.line("  %s: %s, %.1f s", t.name, t.amount(), t.p.now().Sub(t.began).Seconds())
}

func (t *plainTask) amount() string {
	show := func(n int64) string {
		if t.unit == progress.Bytes {
			return size(n)
		}
		return fmt.Sprint(n)
	}
	if t.total > 0 && t.done != t.total {
		return fmt.Sprintf("%s of %s", show(t.done), show(t.total))
	}
	return show(t.done)
}

// jsonLines writes typed lines for programs.
type jsonLines struct {
	mu sync.Mutex
	w  io.Writer
}

func (j *jsonLines) emit(v map[string]any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	v["schema"] = resultSchema
	_ = json.NewEncoder(j.w).Encode(v) // a closed pipe must not stop the work
}

func (j *jsonLines) Task(name string, unit progress.Unit, total int64) progress.Task {
	j.emit(map[string]any{"type": "status", "task": name, "state": "begin", "total": total})
	return &jsonTask{j: j, name: name, total: total}
}

func (j *jsonLines) Note(format string, args ...any) {
	j.emit(map[string]any{"type": "item", "message": fmt.Sprintf(format, args...)})
}

func (j *jsonLines) Warn(format string, args ...any) {
	j.emit(map[string]any{"type": "warning", "message": fmt.Sprintf(format, args...)})
}

type jsonTask struct {
	j           *jsonLines
	mu          sync.Mutex
	name        string
	done, total int64
}

func (t *jsonTask) Add(n int64)  { t.mu.Lock(); t.done += n; t.mu.Unlock() }
func (t *jsonTask) Grow(n int64) { t.mu.Lock(); t.total += n; t.mu.Unlock() }

func (t *jsonTask) Done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.j.emit(map[string]any{"type": "status", "task": t.name, "state": "end", "done": t.done, "total": t.total})
}

// silent shows no progress; warnings still go to stderr unless the run is quiet.
type silent struct {
	mu    sync.Mutex
	w     io.Writer
	quiet bool
}

func (s *silent) Task(name string, unit progress.Unit, total int64) progress.Task {
	return progress.None.Task(name, unit, total)
}
func (s *silent) Note(string, ...any) {}

func (s *silent) Warn(format string, args ...any) {
	if s.quiet {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.w, "warning: "+format+"\n", args...)
}
