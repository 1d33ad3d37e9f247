package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

type command = func(ts *testscript.TestScript, neg bool, args []string)

// commands are what scripts have besides testscript's own:
//
//	exits CODE PROGRAM ARG...      runs a program; its exit code must be CODE; stdout and stderr can be looked at
//	eventually TIME PROGRAM ARG... runs a program again and again until it exits 0
//	killafter TIME PROGRAM ARG...  kills a program with SIGKILL after a time, if it still runs
//	killeach N PROGRAM ARG...      kills a program at each step that it tells on stderr, the next one each time, until it
//	                               ends by itself; at least N steps
//	kill9 TEXT                     kills the script's processes with TEXT in their command line
//	[!] alive TEXT                 such a process runs
//	[!] within TIME alive TEXT     … within a time
//	json PATH VALUE                the field of the JSON document on stdout; a.b.0.c, a.length
//	jsonenv VAR PATH               puts such a field into a variable
//	port VAR...                    free TCP ports
//	listen VAR                     a TCP port that somebody holds until the script ends
//	install ARG...                 a server from $FROM, or from the vendor, of 1.0.0 on free ports: $PORT, $PGPORT, $URL
//	patients N                     N patients named Kanarienvogel, after the first administrator anna
//	sql [--admin] QUERY            asks the installed database, which must answer; --admin: as its superuser
//	restored DIR QUERY             starts the database that was restored into DIR, asks it, stops it
//	https CODE METHOD PATH         asks the server, whose certificate authority is trusted
//	s3 start|stop|resume           a server of its own: $S3 is its endpoint, s3.toml its credentials, the bucket "offsite"
//	serve VAR PROGRAM ARG...       starts a program that first prints its address, and puts that into a variable
//	flip FILE                      changes one bit in the middle of a file
//	[!] holds DIR TEXT             a file below DIR, or a file's name, holds TEXT
//	fingerprint VAR PATH...        a hash over all names and contents
//	differ A B / same A B          compares two words
func commands(b *bench) map[string]command {
	ports := &portPool{given: map[int]bool{}}
	return map[string]command{
		"exits": exits, "eventually": eventually, "killafter": killAfter, "killeach": killEach, "kill9": kill9, "alive": alive, "within": within,
		"json": jsonField, "jsonenv": jsonEnv, "flip": flip, "holds": holds, "fingerprint": fingerprint, "same": same, "differ": differ,
		"sql": sql, "restored": restored(b), "patients": patients, "https": askHTTPS, "s3": s3Server(b), "serve": serve, "outside": outside,
		"port": ports.command, "listen": listen, "install": func(ts *testscript.TestScript, neg bool, args []string) { install(ts, b, ports, neg, args) },
	}
}

func need(ts *testscript.TestScript, neg bool, args []string, n int, usage string) {
	if neg || len(args) < n {
		ts.Fatalf("usage: %s", usage)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "exits CODE PROGRAM ARG...")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		got = ended.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func eventually(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "eventually TIME PROGRAM ARG...")
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	for end := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		if err := ts.Exec(args[1], args[2:]...); err == nil {
			return
		} else if time.Now().After(end) {
			ts.Fatalf("not within %s: %v", limit, err)
		}
	}
}

func killAfter(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "killafter TIME PROGRAM ARG...")
	after, err := time.ParseDuration(args[0])
	ts.Check(err)
	cmd := program(ts, args[1], args[2:]...)
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		ts.Logf("[ended before %s: %v]", after, err)
	case <-time.After(after):
		ts.Check(cmd.Process.Kill())
		ts.Logf("[killed after %s: %v]", after, <-ended)
	}
}

// killEach kills a program at its first step, then at the second one in the next run, and so on. Progress inside a step is
// indented and no step.
func killEach(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "killeach N PROGRAM ARG...")
	least, err := strconv.Atoi(args[0])
	ts.Check(err)
	var killed []string
	for range 60 {
		cmd := program(ts, args[1], append(args[2:], "--progress", "plain")...)
		said, err := cmd.StderrPipe()
		ts.Check(err)
		ts.Check(cmd.Start())
		at := ""
		for lines := bufio.NewScanner(said); lines.Scan(); {
			line := lines.Text()
			if at == "" && line != "" && !strings.HasPrefix(line, " ") && !slices.Contains(killed, line) {
				at = line
				time.Sleep(time.Duration(len(killed)%4) * 15 * time.Millisecond) // at the beginning of a step, and inside it
				_ = cmd.Process.Kill()                                           // it may end just now
			}
		}
		err = cmd.Wait()
		if at == "" {
			ts.Logf("[killed at %d steps: %s]", len(killed), strings.Join(killed, "; "))
			ts.Check(err)
			if len(killed) < least {
				ts.Fatalf("it has %d steps only", len(killed))
			}
			return
		}
		killed = append(killed, at)
	}
	ts.Fatalf("it does not end: %s", strings.Join(killed, "\n"))
}

// program prepares a program in the environment of the script.
func program(ts *testscript.TestScript, name string, args ...string) *exec.Cmd {
	path := name
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if full := filepath.Join(dir, name); isProgram(full) {
			path = full
			break
		}
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environment(ts)
	return cmd
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// environment is what the script's programs get.
func environment(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ", "TMPDIR", "WORK", "PRACTICE_PREFIX"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

func kill9(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "kill9 TEXT")
	victims := matching(ts.Getenv("WORK"), args[0])
	if len(victims) == 0 {
		ts.Fatalf("no process with %q", args[0])
	}
	for _, p := range victims {
		ts.Logf("[SIGKILL to %d: %s]", p.pid, p.line)
		ts.Check(syscall.Kill(p.pid, syscall.SIGKILL))
	}
	for _, p := range victims { // its locks are free when it is gone
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && !ended(p.pid); {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// ended reports whether a process is gone, or a zombie that nobody has asked about yet.
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

func alive(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, false, args, 1, "[!] alive TEXT")
	if found := matching(ts.Getenv("WORK"), args[0]); (len(found) > 0) == neg {
		ts.Fatalf("processes with %q: %v", args[0], found)
	}
}

func within(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, false, args, 3, "[!] within TIME alive TEXT")
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if (len(matching(ts.Getenv("WORK"), args[2])) > 0) != neg {
			return
		}
	}
	alive(ts, neg, args[2:])
}

// field finds a.b.0.c in the JSON document on stdout.
func field(ts *testscript.TestScript, path string) string {
	var v any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &v); err != nil {
		ts.Fatalf("stdout is no JSON document: %v", err)
	}
	for name := range strings.SplitSeq(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[name]
		case []any:
			if name == "length" {
				v = float64(len(at))
				continue
			}
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(at) {
				ts.Fatalf("%s: the list has %d entries", path, len(at))
			}
			v = at[i]
		default:
			ts.Fatalf("%s: there is no %s", path, name)
		}
	}
	if s, ok := v.(string); ok {
		return s
	}
	text, err := json.Marshal(v)
	ts.Check(err)
	return string(text)
}

func jsonField(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, false, args, 2, "[!] json PATH VALUE")
	if got := field(ts, args[0]); (got == args[1]) == neg {
		ts.Fatalf("%s is %s", args[0], got)
	}
}

func jsonEnv(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "jsonenv VAR PATH")
	ts.Setenv(args[0], field(ts, args[1]))
}

func same(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "same A B")
	if args[0] != args[1] {
		ts.Fatalf("%q is not %q", args[0], args[1])
	}
}

func differ(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "differ A B")
	if args[0] == args[1] {
		ts.Fatalf("both are %q", args[0])
	}
}

// portPool gives every port once.
type portPool struct {
	mu    sync.Mutex
	given map[int]bool
}

func (p *portPool) free() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return 0, err
		}
		if !p.given[port] {
			p.given[port] = true
			return port, nil
		}
	}
	return 0, errors.New("no free port")
}

func (p *portPool) command(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "port VAR...")
	for _, name := range args {
		port, err := p.free()
		ts.Check(err)
		ts.Setenv(name, strconv.Itoa(port))
	}
}

func listen(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "listen VAR")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}

// install runs `practicectl install` for a server. Ports stay the same in one script.
func install(ts *testscript.TestScript, b *bench, ports *portPool, neg bool, args []string) {
	need(ts, neg, args, 0, "install ARG...")
	if ts.Getenv("PORT") == "" {
		ports.command(ts, false, []string{"PORT", "PGPORT"})
		ts.Setenv("URL", "https://localhost:"+ts.Getenv("PORT"))
	}
	from := ts.Getenv("FROM")
	if from == "" {
		from = b.Vendor.Repo
	}
	line := []string{"install", "--profile", "server", "--from", from, "--to", "1.0.0", "--db-port", ts.Getenv("PGPORT"),
		"--listen", "127.0.0.1:" + ts.Getenv("PORT"), "--name", "Praxis Süd", "--language", "de", "--json"}
	if !strings.Contains(strings.Join(args, " "), "--provider") {
		line = append(line, "--provider", "bundled")
	}
	ts.Check(ts.Exec("practicectl", append(line, args...)...))
}

// serve starts a program in the background that prints its address first.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "serve VAR PROGRAM ARG...")
	cmd := program(ts, args[1], args[2:]...)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	log, err := os.OpenFile(ts.MkAbs(args[1]+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	ts.Check(err)
	cmd.Stderr = log
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Kill() // it may have been killed by the script
		_ = cmd.Wait()
		_ = log.Close()
	})
	first := make(chan string, 1)
	go func() {
		var line [512]byte
		n, _ := out.Read(line[:])
		first <- strings.TrimSpace(string(line[:n]))
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	select {
	case url := <-first:
		if !strings.HasPrefix(url, "http") {
			ts.Fatalf("%s printed %q first: %s", args[1], url, ts.ReadFile(args[1]+".log"))
		}
		ts.Setenv(args[0], url)
	case <-ctx.Done():
		ts.Fatalf("%s printed no address", args[1])
	}
	fmt.Fprintln(ts.Stdout(), ts.Getenv(args[0]))
}
