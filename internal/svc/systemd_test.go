package svc

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"practicectl/internal/svc/schedule"
	"practicectl/internal/svc/unit"
	"practicectl/internal/uerr"
)

var update = flag.Bool("update", false, "write the golden files")

// units returns every unit file of the product for one instance.
func units(t *testing.T, program string) map[string]string {
	t.Helper()
	m := Systemd{Instance: "main", Writable: map[string][]string{Database: {"/var/lib/practice/main/pg", "/run/practice/main"}, Server: {"/run/practice/main"},
		Mirror: {"/var/lib/practice/mirror"}, "agent": {"/var/lib/practice/main", "/run/practice/main"}}}
	all := map[string]string{}
	for _, s := range []Service{
		{Name: Database, Command: []string{program, "-D", "/var/lib/practice/main/pg"}, StopSignal: "INT", StopTimeout: 10 * time.Minute},
		{Name: Server, Command: []string{program, "serve", "--instance", "main"}, After: []string{Database}},
		{Name: Mirror, Command: []string{program, "mirror", "serve"}, Env: []string{"LANG=C.UTF-8"}},
		{Name: "agent", Command: []string{program, "agent", "run", "--prefix", "/", "100% of $HOME; \"quoted\""}},
	} {
		s.LogFile = "/var/log/practice/main/" + s.Name + ".log"
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		all["practice-"+s.Name+"@main.service"] = m.Unit(s)
	}
	when, err := schedule.Parse("mon,thu 02:30")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	b := schedule.Systemd{Dir: dir, RunAs: "practice-backup", Suffix: "main", Writable: []string{"/var/lib/practice/main/backup"}, Now: time.Now, Location: time.UTC,
		Control: func(context.Context, ...string) error { return nil }}
	if _, err := b.Install(t.Context(), schedule.Job{Name: "backup", Title: "Nightly backup", When: when, Command: []string{program, "backup", "run", "--cron"}}); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{".service", ".timer"} {
		text, err := os.ReadFile(filepath.Join(dir, "practice-backup@main"+kind))
		if err != nil {
			t.Fatal(err)
		}
		all["practice-backup@main"+kind] = string(text)
	}
	return all
}

func TestUnitFilesAreAsWritten(t *testing.T) {
	for name, got := range units(t, "/opt/practice/practicectl/current/practicectl") {
		golden := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || got != string(want) {
			t.Errorf("%s differs (go test -update writes it): %v\n%s", name, err, got)
		}
	}
}

func TestSystemdAcceptsTheUnitsAndCallsThemSafe(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Fatal("systemd-analyze is missing: apt-get install -y systemd")
	}
	dir := t.TempDir()
	all := units(t, "/bin/true")
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name := range all {
		path := filepath.Join(dir, name)
		out, err := exec.Command(analyze, "verify", path).CombinedOutput()
		if err != nil || strings.Contains(string(out), "Unknown") || strings.Contains(string(out), "ignoring") {
			t.Errorf("verify %s: %v\n%s", name, err, out)
		}
		if strings.HasSuffix(name, ".service") {
			if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=20", path).CombinedOutput(); err != nil {
				t.Errorf("security of %s: %v\n%s", name, err, out)
			}
		}
	}
}

func TestSystemdManagerSpeaksToSystemctl(t *testing.T) {
	var said [][]string
	m := Systemd{Dir: t.TempDir(), Instance: "main", Control: func(_ context.Context, args ...string) (string, error) {
		said = append(said, args)
		return "ActiveState=active\nMainPID=42\nNRestarts=2\nStateChangeTimestamp=@1000000000\nResult=success\n", nil
	}}
	s := Service{Name: Server, Command: []string{"/bin/true"}, LogFile: "/var/log/practice/main/server.log"}
	for range 2 { // the second changes nothing
		if err := m.Install(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Start(t.Context(), Server); err != nil {
		t.Fatal(err)
	}
	st, err := m.Status(t.Context(), Server)
	if err != nil || st.State != Running || st.PID != 42 || st.Restarts != 2 || st.Since.Unix() != 1e9 {
		t.Fatalf("%+v %v", st, err)
	}
	if err := m.Remove(t.Context(), Server); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context(), Server); uerr.KindOf(err) != uerr.NotFound {
		t.Fatal(err)
	}
	want := [][]string{{"daemon-reload"}, {"enable", "--now", "practice-server@main.service"}, nil, {"disable", "--now", "practice-server@main.service"}, {"daemon-reload"}}
	for i, w := range want {
		if w != nil && !slices.Equal(said[i], w) {
			t.Fatalf("call %d: %v", i, said[i])
		}
	}
	if len(said) != len(want) {
		t.Fatal(said)
	}
	if err := m.Install(t.Context(), Service{Name: "other", Command: []string{"/bin/true"}, LogFile: "/l"}); uerr.KindOf(err) != uerr.Precond {
		t.Fatal(err)
	}
	m.Control = func(context.Context, ...string) (string, error) { return "", errors.New("no bus") }
	if err := m.Install(t.Context(), s); err == nil {
		t.Fatal("a failing systemctl goes unnoticed")
	}
}

func TestQuotingSurvivesSystemdSpecialCharacters(t *testing.T) {
	for in, want := range map[string]string{"plain": "plain", "": `""`, "a b": `"a b"`, `q"q`: `"q\"q"`, "50%": "50%%", `back\slash`: `"back\\slash"`, "ü ß": `"ü ß"`} {
		if got := unit.Quote(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
