package retain

import (
	"testing"
	"time"
)

// TestO7_TheClassGoesByTheCalendar covers the ends of months, of years and of ISO weeks.
func TestO7_TheClassGoesByTheCalendar(t *testing.T) {
	for _, c := range []struct {
		last, created string
		want          Class
	}{
		{"", "2026-11-23T02:00:00Z", Monthly},
		{"2026-11-22T02:00:00Z", "2026-11-23T02:00:00Z", Weekly}, // Sunday, Monday
		{"2026-11-23T02:00:00Z", "2026-11-23T03:00:00Z", Daily},
		{"2026-11-23T02:00:00Z", "2026-11-29T23:59:59Z", Daily},
		{"2026-11-29T23:59:59Z", "2026-11-30T00:00:00Z", Weekly},
		{"2026-11-30T02:00:00Z", "2026-12-01T02:00:00Z", Monthly}, // in the same week
		{"2026-12-01T02:00:00Z", "2026-12-02T02:00:00Z", Daily},
		{"2025-11-23T02:00:00Z", "2026-11-23T02:00:00Z", Monthly}, // the same month of another year
		{"2026-12-31T02:00:00Z", "2027-01-01T02:00:00Z", Monthly},
		{"2027-01-01T02:00:00Z", "2027-01-03T02:00:00Z", Daily},             // week 53 of 2026
		{"2026-12-01T00:30:00+01:00", "2026-12-01T02:00:00+01:00", Monthly}, // still November in UTC
	} {
		var last time.Time
		if c.last != "" {
			last = at(t, c.last)
		}
		if got := ClassOf(last, at(t, c.created)); got != c.want {
			t.Errorf("after %s, at %s: %s, want %s", c.last, c.created, got, c.want)
		}
	}
}

func at(t *testing.T, s string) time.Time {
	t.Helper()
	out, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
