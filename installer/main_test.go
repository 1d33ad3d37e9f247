package installer

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
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
// is also the programs that the test releases hold.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "practicectl":
			exit(standInPracticectl(os.Args[2:]))
		case "practice-server":
			exit(standInServer(os.Args[2:]))
		case "victim":
			exit(victim(os.Args[2:]))
		}
	}
	if os.Geteuid() == 0 {
		os.Exit(asNobody())
	}
	os.Exit(m.Run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// asNobody copies the test binary to where an ordinary user may read it and runs it as that user.
func asNobody() int {
	const nobody = 65534
	dir, err := os.MkdirTemp("/tmp", "in")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(self)
	}
	program := filepath.Join(dir, "installer.test")
	if err == nil {
		err = os.WriteFile(program, data, 0o755)
	}
	tmp := filepath.Join(dir, "t")
	if err == nil {
		err = os.Mkdir(tmp, 0o700)
	}
	if err == nil {
		err = os.Chown(tmp, nobody, nobody)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	args := slices.DeleteFunc(os.Args[1:], func(a string) bool { return strings.HasPrefix(a, "-test.testlogfile=") }) // root's own
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "HOME="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
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

// standInServer serves what the installer asks a server for, over the certificate that the installer made.
func standInServer(args []string) error {
	verb, rest := args[0], args[1:]
	if verb == "schema" {
		rest = rest[1:]
	}
	l, err := paths.New(rest[1], rest[3])
	if err != nil {
		return err
	}
	mark := filepath.Join(l.Var(), "migrated")
	switch verb {
	case "migrate":
		return os.WriteFile(mark, nil, 0o600)
	case "schema":
		applied := 0
		if _, err := os.Stat(mark); err == nil {
			applied = 7
		}
		return json.NewEncoder(os.Stdout).Encode(map[string]int{"known": 7, "applied": applied})
	}
	listen, err := os.ReadFile(l.Config())
	if err != nil {
		return err
	}
	var d Desired
	if err := json.Unmarshal(listen, &d); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	server := &http.Server{Addr: d.Listen, Handler: mux, ReadHeaderTimeout: time.Second, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	return server.ListenAndServeTLS(filepath.Join(l.Cred(), TLSCert), filepath.Join(l.Cred(), TLSKeyFile))
}
