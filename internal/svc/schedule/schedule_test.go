package schedule

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata"

	"practicectl/internal/uerr"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func parse(t *testing.T, s string) When {
	t.Helper()
	w, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestParse(t *testing.T) {
	for in, want := range map[string][3]string{
		"02:30":          {"daily 02:30", "*-*-* 02:30:00", "30 2 * * *"},
		"daily 23:05":    {"daily 23:05", "*-*-* 23:05:00", "5 23 * * *"},
		"Thu,mon 07:00":  {"mon,thu 07:00", "mon,thu *-*-* 07:00:00", "0 7 * * mon,thu"},
		" sun,sun  0:00": {"sun 00:00", "sun *-*-* 00:00:00", "0 0 * * sun"},
	} {
		w := parse(t, in)
		if got := [3]string{w.String(), w.OnCalendar(), w.Cron()}; got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for _, bad := range []string{"", "24:00", "12:60", "12:5", "noon", "fun 12:00", "mon thu 12:00", "-1:00", "mon,, 12:00"} {
		if w, err := Parse(bad); err == nil {
			t.Errorf("%q taken as %v", bad, w)
		}
	}
}

func TestNextRunsOnceADayAcrossClockChanges(t *testing.T) {
	vienna := zone(t, "Europe/Vienna")
	w := parse(t, "02:30")
	for _, c := range []struct{ after, want string }{
		{"2026-03-28T12:00:00+01:00", "2026-03-29T03:30:00+02:00"}, // 02:30 is skipped: as much later as the clock jumped
		{"2026-03-29T03:30:00+02:00", "2026-03-30T02:30:00+02:00"},
		{"2026-10-24T12:00:00+02:00", "2026-10-25T02:30:00+02:00"}, // comes twice: the first
		{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}, // and not the second
		{"2026-10-25T02:29:59+02:00", "2026-10-25T02:30:00+02:00"},
		{"2026-12-31T02:30:00+01:00", "2027-01-01T02:30:00+01:00"},
	} {
		after, err := time.Parse(time.RFC3339, c.after)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.Next(after, vienna).Format(time.RFC3339); got != c.want {
			t.Errorf("after %s: %s, want %s", c.after, got, c.want)
		}
	}
	for _, name := range []string{"Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kolkata", "UTC"} {
		loc := zone(t, name)
		for _, spec := range []string{"00:10", "01:59", "02:00", "02:30", "03:00", "23:59"} {
			w, at, days := parse(t, spec), time.Date(2026, 1, 1, 12, 0, 0, 0, loc), map[string]bool{}
			for range 365 {
				next := w.Next(at, loc)
				if gap := next.Sub(at); days[next.Format(time.DateOnly)] || gap <= 0 || gap > 26*time.Hour {
					t.Fatalf("%s %s: after %s comes %s", name, spec, at, next)
				}
				days[next.Format(time.DateOnly)], at = true, next
			}
		}
	}
}

func TestPlusGoesPastMidnightAndTheWeek(t *testing.T) {
	if got := parse(t, "sat,sun 23:50").Plus(20 * time.Minute).String(); got != "sun,mon 00:10" {
		t.Fatal(got)
	}
	if got := parse(t, "01:00").Plus(29 * time.Minute).String(); got != "daily 01:29" {
		t.Fatal(got)
	}
	seen := map[time.Duration]bool{}
	for _, host := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		j := Jitter(host, "backup")
		if j < 0 || j >= Spread || j != Jitter(host, "backup") {
			t.Fatal(j)
		}
		seen[j] = true
	}
	if len(seen) < 4 {
		t.Fatal("all hosts start at once", seen)
	}
}

// crontab writes a program that keeps the table in a file, as crontab does, and says "no crontab" as it does.
func crontab(t *testing.T) (program, table string) {
	t.Helper()
	dir := t.TempDir()
	program, table = filepath.Join(dir, "crontab"), filepath.Join(dir, "table")
	script := "#!/bin/sh\nT='" + table + "'\ncase $1 in\n-l) [ -f $T ] || { echo 'no crontab for nobody' >&2; exit 1; }; cat $T;;\n-) cat > $T;;\nesac\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return program, table
}

func TestO3_CrontabBlockKeepsForeignLines(t *testing.T) {
	program, table := crontab(t)
	c := Cron{Program: program, Instance: "main in /srv/pra xis", NodeID: "n", Now: time.Now, Location: time.UTC}
	other := Cron{Program: program, Instance: "other", NodeID: "n", Now: time.Now, Location: time.UTC}
	foreign := "# mine\n\nMAILTO=me\n5 4 * * * /usr/bin/true # 100\\%\n"
	if err := os.WriteFile(table, []byte(foreign), 0o600); err != nil {
		t.Fatal(err)
	}
	backup := Job{Name: "backup", Title: "Nightly", When: parse(t, "01:30"), Command: []string{"/opt/pra xis/practicectl", "backup", "run", "it's 5%", "--cron"}}
	verify := Job{Name: "verify", When: parse(t, "sun 04:00"), Command: []string{"/bin/true"}}
	install := func(c Cron, j Job, want bool) {
		t.Helper()
		if changed, err := c.Install(t.Context(), j); err != nil || changed != want {
			t.Fatal(changed, err)
		}
	}
	install(c, backup, true)
	install(c, backup, false)
	install(other, backup, true)
	install(c, verify, true)
	moved := backup
	moved.When = parse(t, "02:00")
	install(c, moved, true)

	text, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), foreign) || strings.Count(string(text), "# BEGIN") != 2 {
		t.Fatal(string(text))
	}
	if !strings.Contains(string(text), ` '/opt/pra xis/practicectl' backup run 'it'\''s 5\%' --cron`+"\n") {
		t.Fatal(string(text))
	}
	list, err := c.List(t.Context())
	if err != nil || len(list) != 2 || list[0].When.String() != "daily 02:00" || list[0].Next.IsZero() || list[1].Name != "verify" {
		t.Fatalf("%+v %v", list, err)
	}
	for _, cr := range []Cron{c, other} {
		for _, name := range []string{"backup", "verify", "verify"} {
			if _, err := cr.Remove(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if text, err = os.ReadFile(table); err != nil || string(text) != foreign {
		t.Fatalf("foreign lines changed:\n%s%v", text, err)
	}
}

func TestCrontabFaultsAreSaid(t *testing.T) {
	program, table := crontab(t)
	c := Cron{Program: program, Instance: "main", Now: time.Now, Location: time.UTC}
	if err := os.WriteFile(table, []byte(c.begin()+"1 1 * * * x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.List(t.Context()); uerr.KindOf(err) != uerr.Precond || uerr.HintOf(err) == "" {
		t.Fatal(err)
	}
	c.Program = filepath.Join(t.TempDir(), "none")
	if _, err := c.List(t.Context()); uerr.KindOf(err) != uerr.Precond || uerr.HintOf(err) == "" {
		t.Fatal(err)
	}
	if _, err := c.Install(t.Context(), Job{Name: "X"}); uerr.KindOf(err) != uerr.Precond {
		t.Fatal(err)
	}
}

func TestO3_SystemdTimerIsWrittenOnceAndRemoved(t *testing.T) {
	var said []string
	s := Systemd{Dir: filepath.Join(t.TempDir(), "user"), User: true, Suffix: "main", Now: time.Now, Location: time.UTC,
		Control: func(_ context.Context, args ...string) error {
			said = append(said, strings.Join(args, " "))
			return nil
		}}
	j := Job{Name: "backup", Title: "Nightly", When: parse(t, "01:30"), Command: []string{"/bin/true", "--cron"}}
	for i, want := range []bool{true, false} {
		if changed, err := s.Install(t.Context(), j); err != nil || changed != want {
			t.Fatal(i, changed, err)
		}
	}
	list, err := s.List(t.Context())
	if err != nil || len(list) != 1 || list[0].Command[1] != "--cron" || list[0].When.String() != "daily 01:30" {
		t.Fatalf("%+v %v", list, err)
	}
	for i, want := range []bool{true, false} {
		if removed, err := s.Remove(t.Context(), "backup"); err != nil || removed != want {
			t.Fatal(i, removed, err)
		}
	}
	if entries, err := os.ReadDir(s.Dir); err != nil || len(entries) != 0 {
		t.Fatal(entries, err)
	}
	if want := "--user daemon-reload;--user enable practice-backup@main.timer;--user restart practice-backup@main.timer;--user disable --now practice-backup@main.timer;--user daemon-reload"; strings.Join(said, ";") != want {
		t.Fatal(said)
	}
}

func TestWhatStartsWithTheMachine(t *testing.T) {
	j := Job{Name: "agent", Title: "Agent", When: parse(t, "boot"), Command: []string{"/bin/true", "agent", "run"}}
	if j.When.String() != "boot" || !j.When.Next(time.Now(), time.UTC).IsZero() {
		t.Fatal(j.When)
	}
	program, table := crontab(t)
	c := Cron{Program: program, Instance: "main", NodeID: "n", Now: time.Now, Location: time.UTC}
	if changed, err := c.Install(t.Context(), j); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if text, err := os.ReadFile(table); err != nil || !strings.Contains(string(text), "\n@reboot /bin/true agent run\n") {
		t.Fatalf("%s %v", text, err)
	}
	var said []string
	s := Systemd{Dir: t.TempDir(), User: true, Suffix: "main", Now: time.Now, Location: time.UTC,
		Control: func(_ context.Context, args ...string) error {
			said = append(said, strings.Join(args, " "))
			return nil
		}}
	if _, err := s.Install(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	if removed, err := s.Remove(t.Context(), "agent"); err != nil || !removed {
		t.Fatal(removed, err)
	}
	if want := "--user daemon-reload;--user enable practice-agent@main.service;--user disable practice-agent@main.service;--user daemon-reload"; strings.Join(said, ";") != want {
		t.Fatal(said)
	}
	b := newBench(t, filepath.Join(t.TempDir(), "jobs.json"), "2026-05-01T12:00:00Z")
	if _, err := b.Install(t.Context(), j); uerr.KindOf(err) != uerr.Precond {
		t.Fatal("the agent starts itself:", err)
	}
}

// bench is a runner with a clock that the test moves.
type bench struct {
	*Runner
	mu   sync.Mutex
	now  time.Time
	ran  int
	exit int
	hold chan struct{}
}

func (b *bench) clock() time.Time { b.mu.Lock(); defer b.mu.Unlock(); return b.now }

func (b *bench) at(t *testing.T, s string) *bench {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	b.now = at
	b.mu.Unlock()
	return b
}

func newBench(t *testing.T, state, now string) *bench {
	t.Helper()
	b := (&bench{}).at(t, now)
	r, err := NewRunner(RunnerOptions{State: state, NodeID: "n", Now: b.clock, Location: zone(t, "Europe/Vienna"), Run: func(context.Context, Job) int {
		b.mu.Lock()
		b.ran++
		hold := b.hold
		b.mu.Unlock()
		if hold != nil {
			<-hold
		}
		return b.exit
	}})
	if err != nil {
		t.Fatal(err)
	}
	b.Runner = r
	return b
}

// tick starts what is due, waits for it and returns how many runs there have been.
func (b *bench) tick(t *testing.T) int {
	b.startDue(t.Context())
	b.wg.Wait()
	return b.ran
}

func TestO3_AgentRunsOnTimeCatchesUpOnceAndSurvivesARestart(t *testing.T) {
	state := filepath.Join(t.TempDir(), "jobs.json")
	b := newBench(t, state, "2026-05-01T12:00:00Z")
	j := Job{Name: "backup", When: parse(t, "02:30"), Command: []string{"/bin/true"}}
	if _, err := b.Install(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	due := j.When.Plus(Jitter("n", "backup")).Next(b.now, b.o.Location)
	b.now = due.Add(-time.Second)
	if b.tick(t) != 0 {
		t.Fatal("too early")
	}
	b.now = due
	b.exit = 11
	b.tick(t)
	if b.tick(t) != 1 {
		t.Fatal("not once", b.ran)
	}
	// The machine is off for four days; the next agent makes up for one run.
	b2 := newBench(t, state, "2026-05-06T12:00:00Z")
	list, err := b2.List(t.Context())
	if err != nil || list[0].Last == nil || list[0].Last.Exit != 11 || list[0].Last.Missed {
		t.Fatalf("%+v %v", list, err)
	}
	b2.tick(t)
	if b2.tick(t) != 1 {
		t.Fatal("not once", b2.ran)
	}
	if list, err = b2.List(t.Context()); err != nil || !list[0].Last.Missed || !list[0].Next.After(b2.now) {
		t.Fatalf("%+v %v", list, err)
	}
}

func TestAgentSurvivesAWrongClock(t *testing.T) {
	b := newBench(t, filepath.Join(t.TempDir(), "jobs.json"), "2040-01-01T12:00:00Z")
	if _, err := b.Install(t.Context(), Job{Name: "backup", When: parse(t, "02:30"), Command: []string{"/bin/true"}}); err != nil {
		t.Fatal(err)
	}
	b.at(t, "2026-05-01T12:00:00Z") // set right
	list, err := b.List(t.Context())
	if err != nil || list[0].Next.Year() != 2026 {
		t.Fatalf("no backup until %v", list[0].Next)
	}
	if b.at(t, "2026-05-02T12:00:00Z").tick(t) != 1 {
		t.Fatal("no backup the next day")
	}
}

func TestAgentJobNeverOverlapsItself(t *testing.T) {
	b := newBench(t, filepath.Join(t.TempDir(), "jobs.json"), "2026-05-01T12:00:00Z")
	if _, err := b.Install(t.Context(), Job{Name: "backup", When: parse(t, "02:30"), Command: []string{"/bin/true"}}); err != nil {
		t.Fatal(err)
	}
	b.hold = make(chan struct{})
	for _, day := range []string{"2026-05-02T12:00:00Z", "2026-05-03T12:00:00Z", "2026-05-04T12:00:00Z"} {
		b.at(t, day).startDue(t.Context())
	}
	close(b.hold)
	b.wg.Wait()
	if b.ran != 1 {
		t.Fatal(b.ran)
	}
}
