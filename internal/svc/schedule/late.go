package schedule

import (
	"fmt"
	"time"
)

// Lateness is how long a job has not succeeded, measured by its own schedule.
type Lateness int

// The degrees of lateness.
const (
	OnTime     Lateness = iota
	Late                // one run is missing
	Overdue             // two runs are missing
	ClockWrong          // what is known about the job lies in the future: the clock is wrong now, or was
)

var latenessNames = [...]string{"on time", "late", "overdue", "clock wrong"}

func (l Lateness) String() string { return latenessNames[l] }

// MarshalText writes String, for JSON.
func (l Lateness) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (l *Lateness) UnmarshalText(text []byte) error {
	for i, name := range latenessNames {
		if name == string(text) {
			*l = Lateness(i)
			return nil
		}
	}
	return fmt.Errorf("%q is no lateness", text)
}

// Patience is how long a run may take, and start late, before it counts as missing.
const Patience = 2 * time.Hour

// Judge says how late a job is that should run at w and last succeeded at last; a job that never did is judged from the time it was
// scheduled. A nightly job is late after 26 hours and overdue after 50, an hour more or less where the clock changes: what counts is
// the runs that should have been. A success by hand in between counts as well. Both instants being in the future tells nothing, or
// that the clock is wrong.
func (w When) Judge(last, now time.Time, loc *time.Location) Lateness {
	switch {
	case w.Boot:
		return OnTime
	case last.Sub(now) > clockSlack:
		return ClockWrong
	}
	newest := w.Last(now.Add(-Patience), loc) // should have ended by now
	before := w.Last(newest.Add(-time.Second), loc)
	age := now.Sub(last)
	switch period := newest.Sub(before); {
	case last.Before(before) && age > 2*period+Patience-time.Hour:
		return Overdue
	case last.Before(newest) && age > period+Patience-time.Hour:
		return Late
	}
	return OnTime
}

// Last returns the last run at or before an instant, in loc. Nobody knows the last start of the machine: zero.
func (w When) Last(at time.Time, loc *time.Location) time.Time {
	if w.Boot {
		return time.Time{}
	}
	last := w.Next(at.AddDate(0, 0, -9), loc) // a week and the hours of two changes of the clock
	for next := last; !next.After(at); next = w.Next(next, loc) {
		last = next
	}
	return last
}
