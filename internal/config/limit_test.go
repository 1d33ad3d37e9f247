package config

import (
	"testing"
	"time"
)

func TestHoursGoByTheLocalClock(t *testing.T) {
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		hours, at string
		want      bool
	}{
		{"", "2026-11-25T03:00:00Z", true},
		{"07:00-19:00", "2026-11-25T05:59:00Z", false}, // 06:59
		{"07:00-19:00", "2026-11-25T06:00:00Z", true},
		{"07:00-19:00", "2026-11-25T17:59:00Z", true},
		{"07:00-19:00", "2026-11-25T18:00:00Z", false},
		{"07:00-19:00", "2026-07-25T05:00:00Z", true}, // summer time
		{"mon-fri 07:00-19:00", "2026-11-27T10:00:00Z", true},
		{"mon-fri 07:00-19:00", "2026-11-28T10:00:00Z", false},
		{"sat-mon 07:00-19:00", "2026-11-29T10:00:00Z", true},
		{"mon,thu 07:00-19:00", "2026-11-25T10:00:00Z", false},
		{"22:00-06:00", "2026-11-25T23:30:00Z", true},
		{"22:00-06:00", "2026-11-25T12:00:00Z", false},
		{"fri 22:00-06:00", "2026-11-28T03:00:00Z", true}, // the night to Saturday
		{"fri 22:00-06:00", "2026-11-27T03:00:00Z", false},
		{"mon 02:30-03:30", "2026-10-26T01:45:00Z", true}, // the day after the clock went back
	} {
		h, err := ParseHours(c.hours)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Contain(at.In(vienna)); got != c.want {
			t.Errorf("%q at %s: %v", c.hours, c.at, got)
		}
	}
	for _, s := range []string{"07:00", "7-19", "07:00-07:00", "25:00-26:00", "monday 07:00-19:00", "mon-xyz 07:00-19:00", "mon 07:00-19:00 x"} {
		if h, err := ParseHours(s); err == nil {
			t.Errorf("%q is %+v", s, h)
		}
	}
}
