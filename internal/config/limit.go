package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseRate reads "2MiB/s", "500KiB/s" or "1000000B/s": bytes a second.
func ParseRate(s string) (int64, error) {
	text, ok := strings.CutSuffix(s, "/s")
	if ok {
		for _, u := range []struct {
			name string
			size int64
		}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}} {
			if digits, found := strings.CutSuffix(text, u.name); found {
				if n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 32); err == nil && n > 0 {
					return n * u.size, nil
				}
			}
		}
	}
	return 0, fmt.Errorf(`%q is no number of bytes a second, such as "2MiB/s"`, s)
}

// Hours is a part of the day, on some days of the week. The zero value is always.
type Hours struct {
	From, To int            // minutes since midnight; a To before From is on the next day
	Days     []time.Weekday // on which it begins; empty: every day
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// ParseHours reads "07:00-19:00", "mon-fri 07:00-19:00" or "sat,sun 22:00-06:00"; "" is always.
func ParseHours(s string) (Hours, error) {
	bad := fmt.Errorf(`%q are no hours, such as "07:00-19:00" or "mon-fri 07:00-19:00"`, s)
	fields := strings.Fields(strings.ToLower(s))
	if len(fields) == 0 {
		return Hours{}, nil
	}
	from, to, ok := strings.Cut(fields[len(fields)-1], "-")
	a, err1 := time.Parse("15:04", from)
	b, err2 := time.Parse("15:04", to)
	h := Hours{From: a.Hour()*60 + a.Minute(), To: b.Hour()*60 + b.Minute()}
	if !ok || errors.Join(err1, err2) != nil || h.From == h.To || len(fields) > 2 {
		return Hours{}, bad
	}
	if len(fields) == 2 {
		for part := range strings.SplitSeq(fields[0], ",") {
			first, last, span := strings.Cut(part, "-")
			i, k := slices.Index(weekdays, first), slices.Index(weekdays, last)
			if !span {
				k = i
			}
			if i < 0 || k < 0 {
				return Hours{}, bad
			}
			for ; ; i = (i + 1) % 7 {
				h.Days = append(h.Days, time.Weekday(i))
				if i == k {
					break
				}
			}
		}
	}
	return h, nil
}

// Contain tells whether the local time of t lies in the hours.
func (h Hours) Contain(t time.Time) bool {
	if h.From == h.To {
		return true
	}
	minute := t.Hour()*60 + t.Minute()
	on := func(d time.Weekday) bool { return len(h.Days) == 0 || slices.Contains(h.Days, d) }
	if h.From < h.To {
		return on(t.Weekday()) && h.From <= minute && minute < h.To
	}
	return on(t.Weekday()) && minute >= h.From || on((t.Weekday()+6)%7) && minute < h.To
}

// ParseSize reads "4GiB", "500MiB" or "1000000B": bytes. Empty is 0.
func ParseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := ParseRate(s + "/s")
	if err != nil {
		return 0, fmt.Errorf("%q is no number of bytes", s)
	}
	return n, nil
}
