//go:build linux

package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"practicectl/internal/paths"
	"practicectl/internal/svc"
)

// TestMain runs the tests as an ordinary user, as installations are: root starts them again as "nobody". The test binary
// is also the practicectl that the test releases hold; their server is the real one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "practicectl":
			exit(standInPracticectl(os.Args[2:]))
		case "victim":
			exit(victim(os.Args[2:]))
		}
	}
	dir, err := os.MkdirTemp("/tmp", "in")
	if err != nil {
		exit(err)
	}
	code := 1
	if os.Geteuid() == 0 {
		code, err = asNobody(dir)
	} else if err = buildServer(dir); err == nil {
		code = m.Run()
	}
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		exit(err)
	}
	os.Exit(code)
}

// serverVariable names the built practice-server in the environment of the tests that root starts as "nobody".
const serverVariable = "INSTALLER_TEST_SERVER"

// buildServer builds the real server into dir unless root has done so.
func buildServer(dir string) error {
	if os.Getenv(serverVariable) != "" {
		return nil
	}
	program := filepath.Join(dir, "practice-server")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", program, "../cmd/practice-server")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, said)
	}
	return os.Setenv(serverVariable, program)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// asNobody copies the test binary to where an ordinary user may read it and runs it as that user.
func asNobody(dir string) (int, error) {
	const nobody = 65534
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	data, err := os.ReadFile(self)
	if err != nil {
		return 1, err
	}
	program, tmp := filepath.Join(dir, "installer.test"), filepath.Join(dir, "t")
	if err := errors.Join(buildServer(dir), os.WriteFile(program, data, 0o755), os.Chmod(dir, 0o755), os.Mkdir(tmp, 0o700), os.Chown(tmp, nobody, nobody)); err != nil {
		return 1, err
	}
	args := slices.DeleteFunc(os.Args[1:], func(a string) bool { return strings.HasPrefix(a, "-test.testlogfile=") }) // root's own
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "HOME="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		return 1, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

// standInPracticectl is the practicectl of the test releases: it knows one command, "agent run".
func standInPracticectl(args []string) error {
	l, err := paths.New(args[1], args[3])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return svc.RunAgent(ctx, agentOptions(l))
}

func agentOptions(l paths.Layout) svc.AgentOptions {
	return svc.AgentOptions{Socket: l.AgentSocket(), Lock: l.Lock("agent"), Dir: filepath.Join(l.Var(), "agent"), JobLogs: filepath.Join(l.Log(), "jobs"),
		Version: "1.0.0", NodeID: "n", Now: time.Now, Location: time.UTC, Note: func(f string, a ...any) { fmt.Printf(f+"\n", a...) },
		Supervisor: svc.SupervisorOptions{FirstPause: 20 * time.Millisecond, CrashLimit: 3}}
}
