//go:build linux

package svc

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"practicectl/internal/svc/schedule"
	"practicectl/internal/uerr"
)

func agentOptions(dir string) AgentOptions {
	return AgentOptions{Socket: filepath.Join(dir, "a"), Lock: filepath.Join(dir, "agent.lock"), Dir: filepath.Join(dir, "state"),
		JobLogs: filepath.Join(dir, "jobs"), Version: "1.0.0", NodeID: "test", Now: time.Now, Location: time.UTC, Supervisor: quick(),
		Note: func(string, ...any) {}}
}

func interruptible() context.Context {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	return ctx
}

// startAgent runs an agent as a process of its own, so that it can be killed.
func startAgent(t *testing.T, dir string) (*Agent, *exec.Cmd) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "child", "agent", dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	a := NewAgent(filepath.Join(dir, "a"))
	eventually(t, "agent answers", func() bool {
		i, err := a.Info(t.Context())
		return err == nil && i.PID == cmd.Process.Pid
	})
	return a, cmd
}

func TestAgentRunsServicesOverItsSocketOnly(t *testing.T) {
	dir := shortDir(t)
	a, _ := startAgent(t, dir)
	sock := filepath.Join(dir, "s")
	server := service(t, "server", "listen", sock)
	server.Ready, server.After = "unix:"+sock, []string{"database"}
	for _, s := range []Service{server, service(t, "database", "listen", sock+"2")} {
		if err := a.Install(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Start(t.Context(), "server"); err != nil {
		t.Fatal(err)
	}
	st, err := a.Status(t.Context(), "server")
	if err != nil || st.State != Running || st.LogFile != server.LogFile {
		t.Fatalf("%+v %v", st, err)
	}
	if err := a.Restart(t.Context(), "server"); err != nil {
		t.Fatal(err)
	}
	all, err := a.List(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "database" || all[0].State != Stopped || all[1].PID == st.PID {
		t.Fatalf("%+v %v", all, err)
	}
	if _, err := a.Status(t.Context(), "mirror"); uerr.KindOf(err) != uerr.NotFound || uerr.HintOf(err) == "" {
		t.Fatal(err)
	}
	if err := a.Remove(t.Context(), "server"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "a"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	if err := RunAgent(t.Context(), agentOptions(dir)); uerr.KindOf(err) != uerr.Locked {
		t.Fatal("a second agent:", err)
	}
}

func TestKilledAgentsServicesAreTakenOverByTheNext(t *testing.T) {
	dir := shortDir(t)
	a, cmd := startAgent(t, dir)
	sock := filepath.Join(dir, "s")
	s := service(t, "server", "listen", sock)
	s.Ready = "unix:" + sock
	if err := a.Install(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context(), "server"); err != nil {
		t.Fatal(err)
	}
	before, err := a.Status(t.Context(), "server")
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if !alive(before.PID) {
		t.Fatal("the service died with its agent: the test proves nothing")
	}
	a, _ = startAgent(t, dir)
	eventually(t, "server runs again", func() bool {
		st, err := a.Status(t.Context(), "server")
		return err == nil && st.State == Running && st.PID != before.PID
	})
	if alive(before.PID) {
		t.Fatal("the old process still runs")
	}
	if err := a.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "socket gone", func() bool { _, err := os.Stat(filepath.Join(dir, "a")); return os.IsNotExist(err) })
}

func TestAgentRunsJobsAndRemembersHowTheyEnded(t *testing.T) {
	dir := shortDir(t)
	o := agentOptions(dir)
	base := time.Now()
	due := base.UTC().Add(2 * time.Hour)
	o.Now = func() time.Time { return base }
	a := &agent{o: o}
	runner, err := schedule.NewRunner(schedule.RunnerOptions{State: filepath.Join(dir, "jobs.json"), Now: func() time.Time { return base },
		Location: time.UTC, NodeID: "n", Tick: time.Millisecond, Run: a.runJob})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "ran")
	job := schedule.Job{Name: "backup", When: schedule.When{Hour: due.Hour(), Minute: due.Minute()}, Command: []string{os.Args[0], "child", "touch", file, "1"}}
	if _, err := runner.Install(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	base = base.Add(20 * time.Hour) // the machine slept
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	runner.Loop(ctx)
	list, err := runner.List(t.Context())
	if err != nil || list[0].Last == nil || list[0].Last.Exit != 7 || !list[0].Last.Missed {
		t.Fatalf("%+v %v", list, err)
	}
	if log, err := os.ReadFile(filepath.Join(dir, "jobs", "backup.log")); err != nil || len(log) == 0 {
		t.Fatal(err)
	}
}

func TestJobsOverTheSocket(t *testing.T) {
	a, _ := startAgent(t, shortDir(t))
	when, err := schedule.Parse("sun 02:30")
	if err != nil {
		t.Fatal(err)
	}
	job := schedule.Job{Name: "verify", Title: "weekly check", When: when, Command: []string{"/bin/true"}}
	for i, want := range []bool{true, false} {
		if changed, err := a.Jobs().Install(t.Context(), job); err != nil || changed != want {
			t.Fatal(i, changed, err)
		}
	}
	list, err := a.Jobs().List(t.Context())
	if err != nil || len(list) != 1 || list[0].Next.Weekday() != time.Sunday || list[0].Backend != "agent" || !slices.Equal(list[0].Command, job.Command) {
		t.Fatalf("%+v %v", list, err)
	}
	if removed, err := a.Jobs().Remove(t.Context(), "verify"); err != nil || !removed {
		t.Fatal(removed, err)
	}
}

func TestNoAgentIsSaidWithTheCommandThatStartsOne(t *testing.T) {
	_, err := NewAgent(filepath.Join(shortDir(t), "none")).Info(t.Context())
	if uerr.KindOf(err) != uerr.Unreachable || uerr.HintOf(err) == "" {
		t.Fatal(err)
	}
}
