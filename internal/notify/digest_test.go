package notify

import (
	"strings"
	"testing"
	"time"
)

// night plays events, each "HOURS JOB EXIT", and notes for each the mail that goes out: the failing jobs, then the recovered ones.
func night(t *testing.T, events ...[3]any) (mails []string) {
	t.Helper()
	begin := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	var s State
	for _, e := range events {
		var d *Digest
		s, d = s.Note(Event{Job: e[1].(string), Exit: e[2].(int), Skipped: e[2].(int) == 11, At: begin.Add(time.Duration(e[0].(float64) * float64(time.Hour)))})
		text := "-"
		if d != nil {
			var parts []string
			for _, f := range d.Failing {
				parts = append(parts, f.Last.Job)
			}
			for _, r := range d.Recovered {
				parts = append(parts, "+"+r.Job)
			}
			text = strings.Join(parts, " ")
		}
		mails = append(mails, text)
	}
	return mails
}

func TestO3_ABrokenNightSendsOneMail(t *testing.T) {
	for name, c := range map[string]struct {
		events [][3]any
		want   string
	}{
		"all is well":                  {[][3]any{{1., "backup", 0}, {2., "verify", 0}}, "-|-"},
		"one job":                      {[][3]any{{1., "backup", 15}}, "backup"},
		"one night, three jobs":        {[][3]any{{1., "backup", 15}, {2., "verify", 15}, {3., "drill", 15}}, "backup|-|-"},
		"the next night tells all":     {[][3]any{{1., "backup", 15}, {2., "verify", 15}, {25., "backup", 15}}, "backup|-|backup verify"},
		"it works again":               {[][3]any{{1., "backup", 15}, {25., "backup", 0}, {26., "backup", 0}}, "backup|+backup|-"},
		"recovered before it was told": {[][3]any{{1., "backup", 15}, {2., "verify", 13}, {3., "verify", 0}, {25., "backup", 0}}, "backup|-|-|+backup"},
		"one of two recovers":          {[][3]any{{1., "backup", 15}, {2., "verify", 15}, {25., "backup", 15}, {26., "verify", 0}, {49., "backup", 0}}, "backup|-|backup verify|-|+verify +backup"},
		"flapping":                     {[][3]any{{1., "backup", 15}, {2., "backup", 0}, {3., "backup", 15}, {4., "backup", 0}}, "backup|+backup|-|-"},
		"skipped runs say nothing":     {[][3]any{{1., "backup", 11}, {2., "backup", 15}, {3., "backup", 11}, {4., "backup", 0}}, "-|backup|-|+backup"},
		"the clock went back":          {[][3]any{{100_000., "backup", 15}, {1., "backup", 15}, {2., "backup", 15}}, "backup|backup|-"},
	} {
		if got := strings.Join(night(t, c.events...), "|"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestO3_AMailThatCouldNotBeSentIsTriedAgain(t *testing.T) {
	at := time.Date(2026, 11, 25, 1, 0, 0, 0, time.UTC)
	var before State
	after, d := before.Note(Event{Job: "backup", Exit: 15, At: at})
	if d == nil {
		t.Fatal("no mail")
	}
	s := after.Unsent(before, d)
	if _, d = s.Note(Event{Job: "verify", Exit: 15, At: at.Add(time.Hour)}); d == nil || len(d.Failing) != 2 {
		t.Errorf("the next event sends %+v", d)
	}
	// The failure was told, the recovery could not be.
	before = after
	after, d = before.Note(Event{Job: "backup", At: at.Add(2 * time.Hour)})
	s = after.Unsent(before, d)
	if _, d = s.Note(Event{Job: "verify", At: at.Add(3 * time.Hour)}); d == nil || len(d.Recovered) != 1 {
		t.Errorf("the next event sends %+v", d)
	}
}
