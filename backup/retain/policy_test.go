package retain

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var tonight = time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)

// nights are snapshots of the last n nights, the newest one tonight.
func nights(n int) []Candidate {
	var out []Candidate
	for i := range n {
		at := tonight.Add(-time.Duration(n-1-i) * day)
		out = append(out, Candidate{Key: at.Format("20060102T150405Z"), Host: "praxis-1", Created: at, Stored: at.Add(time.Minute), Bytes: 5 << 30, Database: true})
	}
	return out
}

func judge(t *testing.T, p Policy, all []Candidate, now time.Time) (keys []string, doubts []Doubt) {
	t.Helper()
	verdicts, doubts := p.Judge(all, now)
	if len(verdicts) != len(all) {
		t.Fatalf("%d verdicts on %d snapshots", len(verdicts), len(all))
	}
	for _, v := range verdicts {
		if v.Why == "" {
			t.Errorf("%s: no reason", v.Key)
		}
		if v.Keep {
			keys = append(keys, v.Key)
		}
	}
	return keys, doubts
}

// TestO7_M15_TheCalendarIsKept: 14 days, 8 weeks, 24 months.
func TestO7_M15_TheCalendarIsKept(t *testing.T) {
	all := nights(1000)
	keys, doubts := judge(t, Default, all, tonight.Add(time.Hour))
	if len(doubts) != 0 {
		t.Errorf("doubts %v", doubts)
	}
	// 14 days; the Mondays of 8 weeks, of which two lie within those; the firsts of 24 months, of which one is a Monday.
	if len(keys) < 14+6+21 || len(keys) > 14+6+24 {
		t.Errorf("%d are kept: %v", len(keys), keys)
	}
	for _, want := range []string{"20261124T030000Z", "20261111T030000Z", "20261005T030000Z", "20261001T030000Z", "20241201T030000Z"} {
		if !slices.Contains(keys, want) {
			t.Errorf("%s is not kept", want)
		}
	}
	for _, not := range []string{"20261110T030000Z", "20241101T030000Z", "20260928T030000Z"} {
		if slices.Contains(keys, not) {
			t.Errorf("%s is kept", not)
		}
	}
	// Applying it again expires nothing more.
	var left []Candidate
	for _, c := range all {
		if slices.Contains(keys, c.Key) {
			left = append(left, c)
		}
	}
	if again, _ := judge(t, Default, left, tonight.Add(time.Hour)); len(again) != len(left) {
		t.Errorf("a second time %d of %d are kept", len(again), len(left))
	}
}

// TestO7_NothingPushesOutWhatWasThereBefore floods the calendar in every way that a host's own key allows, and compares what is
// kept of the real snapshots with what is kept without the flood.
func TestO7_NothingPushesOutWhatWasThereBefore(t *testing.T) {
	real := nights(400)
	now := tonight.Add(2 * time.Hour)
	want, _ := judge(t, Default, real, now)
	fake := func(i int, created time.Time) Candidate {
		return Candidate{Key: fmt.Sprintf("fake-%05d", i), Host: "praxis-1", Created: created, Stored: tonight.Add(time.Hour + time.Duration(i)*time.Second), Bytes: 5 << 30, Database: true}
	}
	for name, at := range map[string]func(i int) time.Time{
		"now":                      func(i int) time.Time { return tonight.Add(time.Duration(i) * time.Second) },
		"future days":              func(i int) time.Time { return tonight.Add(time.Duration(i+1) * day) },
		"the year 2040":            func(i int) time.Time { return tonight.AddDate(14, i, 0) },
		"the year 1970":            func(i int) time.Time { return time.Unix(int64(i)*86400, 0) },
		"each day, a second early": func(i int) time.Time { return tonight.Add(-time.Duration(i)*day - 3*time.Hour + time.Second) },
		"each month, at midnight":  func(i int) time.Time { return time.Date(2026, time.Month(11-i%30), 1, 0, 0, i, 0, time.UTC) },
	} {
		flood := slices.Clone(real)
		for i := range 300 {
			flood = append(flood, fake(i, at(i)))
		}
		got, doubts := judge(t, Default, flood, now)
		for _, key := range want {
			if !slices.Contains(got, key) && key != real[len(real)-1].Key {
				t.Errorf("%s: %s is pushed out", name, key)
			}
		}
		if !slices.ContainsFunc(doubts, func(d Doubt) bool { return d.Name == "burst" || d.Name == "future" }) {
			t.Errorf("%s: nobody wonders: %v", name, doubts)
		}
	}
}

func TestO7_WhatLooksWrongExpiresNothing(t *testing.T) {
	now := tonight.Add(2 * time.Hour)
	for name, c := range map[string]struct {
		change func(all []Candidate) []Candidate
		now    time.Time
		want   string
	}{
		"all is well":       {func(all []Candidate) []Candidate { return all }, now, ""},
		"shrunk":            {func(all []Candidate) []Candidate { all[len(all)-1].Bytes = 2 << 30; return all }, now, "shrunk"},
		"without database":  {func(all []Candidate) []Candidate { all[len(all)-1].Database = false; return all }, now, "shrunk"},
		"half is not less":  {func(all []Candidate) []Candidate { all[len(all)-1].Bytes = 5 << 29; return all }, now, ""},
		"clock of 2040":     {func(all []Candidate) []Candidate { return all }, now.AddDate(14, 0, 0), "stale"},
		"clock behind":      {func(all []Candidate) []Candidate { return all }, tonight.Add(-5 * time.Hour), "clock"},
		"no backups":        {func(all []Candidate) []Candidate { return all }, now.Add(15 * day), "stale"},
		"dated 2040":        {func(all []Candidate) []Candidate { all[len(all)-2].Created = now.AddDate(14, 0, 0); return all }, now, "future"},
		"that was long ago": {func(all []Candidate) []Candidate { all[len(all)-20].Created = now.AddDate(14, 0, 0); return all }, now, ""},
	} {
		_, doubts := judge(t, Default, c.change(nights(100)), c.now)
		var names []string
		for _, d := range doubts {
			names = append(names, d.Name)
			if d.Why == "" || !slices.Contains(DoubtNames, d.Name) {
				t.Errorf("%s: %+v", name, d)
			}
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s: doubts %q, want %q", name, got, c.want)
		}
	}
}

func TestO7_WhatIsLockedHeldOrYoungStays(t *testing.T) {
	if keys, _ := judge(t, Default, nights(60), time.Unix(0, 0)); len(keys) != 60 {
		t.Errorf("in 1970 only %d are kept", len(keys))
	}
	all := nights(60)
	all[3].Held = true
	all[4].Locked = tonight.Add(day)
	all[5].Locked = tonight.Add(-day)
	all[6].Stored = tonight // a copy, or a lie
	keys, _ := judge(t, Policy{Daily: 2, Least: 3 * day}, all, tonight.Add(time.Hour))
	want := []string{all[3].Key, all[4].Key, all[6].Key, all[57].Key, all[58].Key, all[59].Key}
	slices.Sort(keys)
	if !slices.Equal(keys, want) {
		t.Errorf("kept %v, want %v", keys, want)
	}
	// In a store that was copied today the signed times are all there is.
	for i := range all {
		all[i].Stored = tonight.Add(time.Duration(i) * time.Second)
	}
	verdicts, _ := Policy{Daily: 14, Weekly: 8, Monthly: 24}.Judge(all, tonight.Add(time.Hour))
	n := 0
	for _, v := range verdicts {
		if v.Keep {
			n++
		}
	}
	if n < 14+6 {
		t.Errorf("in a copied store %d are kept", n)
	}
	// Hosts do not push out each other's.
	other := nights(60)
	for i := range other {
		other[i].Host, other[i].Key = "praxis-2", "2-"+other[i].Key
	}
	both, _ := judge(t, Default, append(nights(60), other...), tonight)
	alone, _ := judge(t, Default, nights(60), tonight)
	if len(both) != 2*len(alone) {
		t.Errorf("%d of two hosts, %d of one", len(both), len(alone))
	}
}
