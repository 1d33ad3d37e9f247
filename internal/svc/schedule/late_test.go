package schedule

import (
	"testing"
	"time"
)

func TestO3_AJobIsLateAfterOneMissedRunAndOverdueAfterTwo(t *testing.T) {
	vienna := zone(t, "Europe/Vienna")
	at := func(s string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04", s, vienna)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		when, last, now string
		want            Lateness
	}{
		{"01:30", "2026-11-24 01:40", "2026-11-24 12:00", OnTime},
		{"01:30", "2026-11-24 01:40", "2026-11-25 03:20", OnTime}, // it may still run
		{"01:30", "2026-11-24 01:40", "2026-11-25 03:41", Late},
		{"01:30", "2026-11-24 01:40", "2026-11-26 03:20", Late},
		{"01:30", "2026-11-24 01:40", "2026-11-26 03:41", Overdue},
		{"01:30", "2026-11-24 20:00", "2026-11-25 04:00", OnTime}, // by hand in the evening
		{"01:30", "2026-11-24 20:00", "2026-11-25 23:00", Late},
		// the day of 25 hours (25 October) and the day of 23 (29 March)
		{"01:30", "2026-10-25 01:31", "2026-10-26 03:00", OnTime},
		{"01:30", "2026-10-25 01:31", "2026-10-26 03:45", Late},
		{"01:30", "2026-10-25 01:31", "2026-10-27 03:45", Overdue},
		{"01:30", "2026-03-29 01:31", "2026-03-30 03:00", OnTime},
		{"01:30", "2026-03-29 01:31", "2026-03-30 03:45", Late},
		{"01:30", "2026-03-29 01:31", "2026-03-31 03:45", Overdue},
		{"02:30", "2026-03-28 02:31", "2026-03-29 05:00", OnTime}, // ran at 03:30, an hour after the jump
		{"02:30", "2026-03-28 02:31", "2026-03-29 05:45", Late},
		// weekly
		{"sun 04:00", "2026-11-22 04:10", "2026-11-28 23:00", OnTime},
		{"sun 04:00", "2026-11-22 04:10", "2026-11-29 05:00", OnTime},
		{"sun 04:00", "2026-11-22 04:10", "2026-11-29 07:00", Late},
		{"sun 04:00", "2026-11-22 04:10", "2026-12-06 07:00", Overdue},
		{"mon,thu 22:00", "2026-11-23 22:10", "2026-11-26 21:00", OnTime},
		{"mon,thu 22:00", "2026-11-23 22:10", "2026-11-27 01:00", Late},
		// clocks that are wrong: now, or when the success was noted
		{"01:30", "2026-11-24 01:40", "1970-01-01 00:10", ClockWrong},
		{"01:30", "2040-01-01 01:40", "2026-11-25 12:00", ClockWrong},
		{"01:30", "2026-11-24 01:40", "2040-01-01 12:00", Overdue},
		{"boot", "2026-01-01 00:00", "2026-11-25 12:00", OnTime},
	} {
		if got := parse(t, c.when).Judge(at(c.last), at(c.now), vienna); got != c.want {
			t.Errorf("%s, last %s, now %s: %s, want %s", c.when, c.last, c.now, got, c.want)
		}
	}
}

func TestLastIsBeforeNext(t *testing.T) {
	vienna := zone(t, "Europe/Vienna")
	for _, when := range []string{"01:30", "02:30", "sun 02:30", "mon,thu 22:00"} {
		w := parse(t, when)
		for at := time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC); at.Before(time.Date(2026, 4, 5, 0, 0, 0, 0, time.UTC)); at = at.Add(37 * time.Minute) {
			last := w.Last(at, vienna)
			if last.After(at) || !w.Next(last, vienna).After(at) {
				t.Fatalf("%s at %s: last %s, then %s", when, at, last, w.Next(last, vienna))
			}
		}
	}
}
