package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"practicectl/internal/paths"
	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// TestProgram is not a test: unprivileged runs this test binary with PRACTICE_TEST_PROGRAM set, and then it is practicectl.
func TestProgram(*testing.T) {
	if os.Getenv("PRACTICE_TEST_PROGRAM") == "" {
		return
	}
	args := os.Args[1:]
	for i, a := range args {
		if a == "--" {
			args = args[i+1:]
			break
		}
	}
	os.Exit(Main(context.Background(), args, Streams{In: strings.NewReader(""), Out: os.Stdout, Err: os.Stderr,
		Getenv: func(string) string { return "" }, Now: time.Now}))
}

// unprivileged runs practicectl with a prefix of its own, as "nobody" when the test runs as root.
type unprivileged struct {
	t       *testing.T
	program string
	prefix  string
	account *pgcluster.Cluster // only its RunAs
}

func newUnprivileged(t *testing.T) unprivileged {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "db")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	u := unprivileged{t: t, program: filepath.Join(dir, "practicectl"), prefix: filepath.Join(dir, "Praxis Müller"), account: &pgcluster.Cluster{}}
	self, err := os.Executable()
	if err == nil {
		var data []byte
		if data, err = os.ReadFile(self); err == nil {
			err = os.WriteFile(u.program, data, 0o755)
		}
	}
	if err := errors.Join(err, os.Chmod(dir, 0o755), os.Mkdir(u.prefix, 0o755)); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if u.account.RunAs, err = pgcluster.LookupAccount("nobody"); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(u.prefix, int(u.account.RunAs.UID), int(u.account.RunAs.GID)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { u.run("db", "stop") })
	return u
}

// command prepares a run of practicectl and returns what it will write to.
func (u unprivileged) command(args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	cmd = exec.Command(u.program, append([]string{"-test.run=^TestProgram$", "--"}, append(args, "--prefix", u.prefix)...)...)
	cmd.Env = []string{"PRACTICE_TEST_PROGRAM=1", "PATH=/usr/bin:/bin", "HOME=/nonexistent"}
	cmd.Dir = "/"
	u.account.Credential(cmd)
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, stdout, stderr
}

func (u unprivileged) run(args ...string) (code int, stdout, stderr string) {
	u.t.Helper()
	cmd, out, errs := u.command(args...)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		u.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// want runs a command and checks its exit code and a part of what it says.
func (u unprivileged) want(code int, says string, args ...string) string {
	u.t.Helper()
	got, out, errs := u.run(args...)
	if got != code || !strings.Contains(out+errs, says) {
		u.t.Errorf("%v: exit %d, want %d and %q\nstdout: %s\nstderr: %s", args, got, code, says, out, errs)
	}
	if got != 0 && out != "" {
		u.t.Errorf("%v failed and wrote to stdout: %s", args, out)
	}
	return out
}

func (u unprivileged) status() (s dbStatusResult) {
	u.t.Helper()
	if err := json.Unmarshal([]byte(u.want(0, "", "db", "status", "--json")), &s); err != nil {
		u.t.Fatal(err)
	}
	return s
}

// bin is the folder of PostgreSQL's programs of a major version.
func bin(t *testing.T, major int) string {
	t.Helper()
	return testenv.PGStopped(t, major).Bin.Dir
}

func TestO1_DatabaseIsMadeStartedShownAndStopped(t *testing.T) {
	for provider, major := range map[string]int{"system": 15, "bundled": 18} {
		t.Run(provider, func(t *testing.T) {
			u := newUnprivileged(t)
			dir := bin(t, major)
			u.want(0, "would make", "db", "init", "--provider", provider, "--bin", dir, "--port", "5440", "--dry-run")
			if _, err := os.Stat(filepath.Join(u.prefix, "var")); err == nil {
				t.Error("a dry run made something")
			}
			u.want(0, "next: practicectl db start", "db", "init", "--provider", provider, "--bin", dir, "--port", "5440")
			u.want(0, `"created": false`, "db", "init", "--json")
			u.want(0, "practicectl db start", "db", "status")
			if s := u.status(); s.State != pgcluster.Stopped || s.SystemID == 0 || !s.Checksums {
				t.Errorf("stopped: %+v", s)
			}
			u.want(0, "is running", "db", "start")
			u.want(0, "is running already", "db", "start")
			u.want(0, `"created": false`, "db", "init", "--json")
			s := u.status()
			if s.State != pgcluster.Running || s.Port != 5440 || s.Timeline != 1 || s.Term != 1 || s.DatabaseBytes < 1<<20 || s.Provider != provider ||
				s.PID == 0 || s.Uptime < 0 || !s.Checksums {
				t.Errorf("running: %+v", s)
			}
			warned := strings.Contains(strings.Join(s.Warnings, "\n"), "not for patient data")
			if warned != (provider == "bundled") {
				t.Errorf("warnings: %q", s.Warnings)
			}
			u.want(14, "db stop", "db", "init", "--port", "5441")
			u.want(0, "is stopped", "db", "stop")
			u.want(0, "is stopped already", "db", "stop")
			u.want(0, "", "db", "init", "--port", "5441")
			if out := u.want(0, "", "db", "start", "--cron"); out != "" {
				t.Errorf("an unattended run says %q", out)
			}
			if s := u.status(); s.Port != 5441 {
				t.Errorf("after the change of port: %+v", s)
			}
		})
	}
}

func TestDatabaseInitKilledAnywhereIsFinishedByTheNextRun(t *testing.T) {
	u := newUnprivileged(t)
	dir := bin(t, 15)
	for _, after := range []time.Duration{20, 150, 400, 700, 900} {
		if err := os.RemoveAll(filepath.Join(u.prefix, "var", "lib")); err != nil {
			t.Fatal(err)
		}
		cmd, _, _ := u.command("db", "init", "--bin", dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after * time.Millisecond)
		_ = cmd.Process.Kill() // it may have finished
		_ = cmd.Wait()
		u.want(0, "db start", "db", "init", "--bin", dir)
		u.want(0, "is running", "db", "start")
		if s := u.status(); s.DatabaseBytes == 0 || s.Term != 1 {
			t.Errorf("killed after %d ms: %+v", after, s)
		}
		u.want(0, "is stopped", "db", "stop")
	}
}

func TestDatabaseThatIsNotThereIsSaidPlainly(t *testing.T) {
	u := newUnprivileged(t)
	for _, verb := range []string{"start", "stop", "status"} {
		u.want(10, "practicectl", "db", verb)
	}
	etc := filepath.Join(u.prefix, "etc", "practice", "main")
	if err := os.MkdirAll(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(etc, "practice.toml"), []byte("schema = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"start", "stop", "status"} {
		u.want(10, "practicectl db init", "db", verb)
	}
}

func TestDatabaseRefusals(t *testing.T) {
	u := newUnprivileged(t)
	u.want(14, pgcluster.AptLine, "db", "init", "--bin", "/nonexistent")
	u.want(14, pgcluster.AptLine, "db", "init", "--provider", "bundled")
	u.want(64, "1 to 65535", "db", "init", "--port", "70000")
	u.want(64, "system, bundled", "db", "init", "--provider", "docker")
	l, err := paths.New(u.prefix, "main")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(l.Run(), 0o777); err != nil {
		t.Fatal(err)
	}
	foreign, err := net.Listen("unix", filepath.Join(l.Run(), ".s.PGSQL.5440"))
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	for dir := l.Run(); dir != u.prefix; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(foreign.Addr().String(), 0o777); err != nil {
		t.Fatal(err)
	}
	u.want(14, "choose another", "db", "init", "--port", "5440", "--bin", bin(t, 15))
	if _, err := os.Stat(l.PGData()); err == nil {
		t.Error("a cluster was made although its port is taken")
	}
}

func TestRootMayNotRunTheDatabase(t *testing.T) {
	if os.Geteuid() != 0 {
		return // refused for root only; TestBadPlacesAreRefusedWithTheNextCommand covers the account root
	}
	s, out, errs := streams()
	code := Main(t.Context(), []string{"db", "init", "--prefix", t.TempDir(), "--bin", bin(t, 15)}, s)
	if code != uerr.Precond.Info().Exit || out.Len() != 0 || !strings.Contains(errs.String(), "ordinary user") {
		t.Errorf("exit %d, %s", code, errs)
	}
}
