package cli

import (
	"testing"
	"time"

	"practicectl/backup/repo"
	"practicectl/backup/stream"
	"practicectl/internal/config"
	"practicectl/internal/doctor"
	"practicectl/internal/paths"
	"practicectl/internal/uerr"
)

// TestT27_StatusJudgesTheStream covers what the one screen says of the stream of the log.
func TestT27_StatusJudgesTheStream(t *testing.T) {
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	gap := stream.Gap{System: 7, Timeline: 1, From: 0x1000000, To: 0x3000000, Reason: "the server does not have it any more"}
	for name, c := range map[string]struct {
		state    stream.State
		snapshot string // stop of the newest snapshot
		off      bool
		level    doctor.Severity
		kind     uerr.Kind
	}{
		"well":                          {state: stream.State{Updated: now}},
		"dead":                          {state: stream.State{Updated: now.Add(-2 * time.Minute)}, level: doctor.Fail},
		"dead, and not wanted":          {state: stream.State{Updated: now.Add(-2 * time.Minute)}, off: true},
		"the store is away":             {state: stream.State{Updated: now, Problem: "no route", Since: now.Add(-2 * time.Minute)}, level: doctor.Warn},
		"far behind":                    {state: stream.State{Updated: now, Oldest: now.Add(-2 * time.Minute)}, level: doctor.Warn},
		"a gap":                         {state: stream.State{Updated: now, Gaps: []stream.Gap{gap}}, level: doctor.Fail, kind: uerr.WALGap},
		"a gap that still grows":        {state: stream.State{Updated: now, Gaps: []stream.Gap{{System: 7, Timeline: 1, From: 1}}}, snapshot: "9/0", level: doctor.Fail, kind: uerr.WALGap},
		"a gap, and a snapshot before":  {state: stream.State{Updated: now, Gaps: []stream.Gap{gap}}, snapshot: "0/2000000", level: doctor.Fail, kind: uerr.WALGap},
		"a gap, and a snapshot after":   {state: stream.State{Updated: now, Gaps: []stream.Gap{gap}}, snapshot: "0/3000028"},
		"a gap, and no stream any more": {state: stream.State{Updated: now.Add(-time.Hour), Gaps: []stream.Gap{gap}}, off: true, level: doctor.Fail, kind: uerr.WALGap},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := paths.New(t.TempDir(), "main")
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Write(streamDir(l), c.state); err != nil {
				t.Fatal(err)
			}
			if c.snapshot != "" {
				if err := stream.NoteSnapshot(streamDir(l), repo.Header{Database: &repo.DatabaseFacts{System: 7, Timeline: 1, Stop: c.snapshot}}); err != nil {
					t.Fatal(err)
				}
			}
			s := &statusReport{Ready: true}
			s.stream(l, &config.File{Backup: config.Backup{Store: "/srv/b", Stream: !c.off}}, now)
			if s.Level != c.level || s.Stream == nil {
				t.Errorf("level %v, want %v: %v", s.Level, c.level, s.Reasons)
			}
			err = s.verdict()
			if (err != nil) != (c.level == doctor.Fail) || err != nil && uerr.KindOf(err) != c.kind {
				t.Errorf("ends with %v (%v), want %v", err, uerr.KindOf(err), c.kind)
			}
		})
	}
}
