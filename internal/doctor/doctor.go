// Package doctor runs small named checks, each of which finds one thing and says how to mend it.
package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Severity is how bad a finding is.
type Severity int

// The severities, in rising order.
const (
	OK   Severity = iota
	Warn          // works, but should be mended
	Fail          // the practice is not safe as it is
)

func (s Severity) String() string { return [...]string{"ok", "warn", "fail"}[s] }

// MarshalText writes the severity as a word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is what a check found.
type Finding struct {
	ID       string   `json:"id"`   // such as "D13"
	Name     string   `json:"name"` // such as "page-checksums"
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Fix      string   `json:"fix,omitempty"` // the command to type
	Millis   int64    `json:"ms"`
}

// Check is one check. Run returns the severity, what was found in one line and how to mend it.
type Check struct {
	ID, Name string
	Run      func(ctx context.Context) (Severity, string, string)
}

// Limit is how long one check may take.
const Limit = 10 * time.Second

// Run runs the checks whose id or name is wanted (all for an empty list) in their order. A check that panics or takes
// longer than Limit is a finding of its own.
func Run(ctx context.Context, checks []Check, wanted []string) []Finding {
	var out []Finding
	for _, c := range checks {
		if len(wanted) > 0 && !slices.Contains(wanted, c.ID) && !slices.Contains(wanted, c.Name) {
			continue
		}
		out = append(out, c.run(ctx))
	}
	return out
}

func (c Check) run(ctx context.Context) Finding {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	done := make(chan Finding, 1)
	go func() {
		f := Finding{ID: c.ID, Name: c.Name}
		defer func() {
			if p := recover(); p != nil {
				f.Severity, f.Message = Fail, fmt.Sprintf("the check itself crashed: %v", p)
			}
			done <- f
		}()
		f.Severity, f.Message, f.Fix = c.Run(ctx)
	}()
	var f Finding
	select {
	case f = <-done:
	case <-ctx.Done():
		f = Finding{ID: c.ID, Name: c.Name, Severity: Fail, Message: "no answer within " + Limit.String()}
	}
	f.Millis = time.Since(began).Milliseconds()
	return f
}

// Worst is the highest severity among findings.
func Worst(findings []Finding) Severity {
	worst := OK
	for _, f := range findings {
		worst = max(worst, f.Severity)
	}
	return worst
}
