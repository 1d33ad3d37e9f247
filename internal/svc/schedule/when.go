// Package schedule runs jobs at the same local time every day or week: through systemd timers, the user's crontab, or
// our own agent.
package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// When is a local time on some days of the week.
type When struct {
	Hour, Minute int
	Days         []time.Weekday // sorted, Sunday first; empty: every day
	Boot         bool           // not at a time, but when the machine starts
}

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// Parse reads "02:30", "daily 02:30", "sun 02:30", "mon,thu 22:00" or "boot".
func Parse(s string) (When, error) {
	if strings.TrimSpace(s) == "boot" {
		return When{Boot: true}, nil
	}
	bad := fmt.Errorf("time %q: want HH:MM, or days and a time such as \"sun 02:30\" or \"mon,thu 22:00\"", s)
	fields := strings.Fields(strings.ToLower(s))
	if len(fields) < 1 || len(fields) > 2 {
		return When{}, bad
	}
	h, m, ok := strings.Cut(fields[len(fields)-1], ":")
	hour, err1 := strconv.ParseUint(h, 10, 8)
	minute, err2 := strconv.ParseUint(m, 10, 8)
	if !ok || errors.Join(err1, err2) != nil || hour > 23 || minute > 59 || len(m) != 2 {
		return When{}, bad
	}
	w := When{Hour: int(hour), Minute: int(minute)}
	if len(fields) == 1 || fields[0] == "daily" {
		return w, nil
	}
	for name := range strings.SplitSeq(fields[0], ",") {
		d := slices.Index(dayNames, name)
		if d < 0 {
			return When{}, bad
		}
		w.Days = append(w.Days, time.Weekday(d))
	}
	slices.Sort(w.Days)
	w.Days = slices.Compact(w.Days)
	return w, nil
}

// String returns the form that Parse reads.
func (w When) String() string {
	if w.Boot {
		return "boot"
	}
	if len(w.Days) == 0 {
		return fmt.Sprintf("daily %02d:%02d", w.Hour, w.Minute)
	}
	return fmt.Sprintf("%s %02d:%02d", w.days(","), w.Hour, w.Minute)
}

func (w When) days(sep string) string {
	names := make([]string, len(w.Days))
	for i, d := range w.Days {
		names[i] = dayNames[d]
	}
	return strings.Join(names, sep)
}

// MarshalText writes String, for JSON.
func (w When) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (w *When) UnmarshalText(text []byte) (err error) {
	*w, err = Parse(string(text))
	return err
}

// OnCalendar returns w as systemd writes it.
func (w When) OnCalendar() string {
	at := fmt.Sprintf("*-*-* %02d:%02d:00", w.Hour, w.Minute)
	if len(w.Days) == 0 {
		return at
	}
	return w.days(",") + " " + at
}

// Cron returns w as the first fields of a crontab line.
func (w When) Cron() string {
	if w.Boot {
		return "@reboot"
	}
	days := "*"
	if len(w.Days) > 0 {
		days = w.days(",")
	}
	return fmt.Sprintf("%d %d * * %s", w.Minute, w.Hour, days)
}

// Plus returns w later by less than a day, past midnight if need be.
func (w When) Plus(d time.Duration) When {
	if w.Boot {
		return w
	}
	minutes := w.Hour*60 + w.Minute + int(d.Minutes())
	later := When{Hour: minutes / 60 % 24, Minute: minutes % 60}
	for _, day := range w.Days {
		later.Days = append(later.Days, (day+time.Weekday(minutes/1440))%7)
	}
	slices.Sort(later.Days)
	return later
}

// Next returns the first run after the given instant, in loc. A local time that the clock change skips runs once, as
// much later as the clock jumped; one that comes twice runs the first time only. Nobody knows the next start of the
// machine: zero.
func (w When) Next(after time.Time, loc *time.Location) time.Time {
	if w.Boot {
		return time.Time{}
	}
	day := after.In(loc)
	for ; ; day = day.AddDate(0, 0, 1) {
		noon := time.Date(day.Year(), day.Month(), day.Day(), 12, 0, 0, 0, loc) // exists in every zone that people live in
		if len(w.Days) > 0 && !slices.Contains(w.Days, noon.Weekday()) {
			continue
		}
		if t := w.on(noon, loc); t.After(after) {
			return t
		}
	}
}

func (w When) on(day time.Time, loc *time.Location) time.Time {
	wall := time.Date(day.Year(), day.Month(), day.Day(), w.Hour, w.Minute, 0, 0, time.UTC)
	_, before := wall.Add(-26 * time.Hour).In(loc).Zone()
	_, later := wall.Add(26 * time.Hour).In(loc).Zone()
	for _, offset := range []int{max(before, later), min(before, later)} { // the larger offset comes first in time
		t := wall.Add(-time.Duration(offset) * time.Second).In(loc)
		if t.Hour() == w.Hour && t.Minute() == w.Minute {
			return t
		}
	}
	return wall.Add(-time.Duration(before) * time.Second).In(loc)
}

// Spread is how far apart the hosts of a practice start the same job.
const Spread = 30 * time.Minute

// Jitter returns the host's own part of [Spread] for a job, in whole minutes: the same every time.
func Jitter(nodeID, job string) time.Duration {
	sum := sha256.Sum256([]byte(nodeID + "\x00" + job))
	return time.Duration(binary.BigEndian.Uint64(sum[:8])%uint64(Spread/time.Minute)) * time.Minute
}
