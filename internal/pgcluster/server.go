package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"practicectl/internal/uerr"
)

// State says what the server is doing.
type State string

// The states.
const (
	Stopped  State = "stopped"
	Starting State = "starting" // or recovering after a crash
	Running  State = "running"
	Stopping State = "stopping"
)

// Status is what can be seen of the server from outside.
type Status struct {
	State State
	PID   int       // 0 when stopped
	Since time.Time // when the server was started
	Port  int       // that it was started with; 0 when stopped
}

// maxLog is the size at which Start puts the log aside.
const maxLog = 16 << 20

// Foreground returns the command that runs the server in the foreground, for a supervisor. SIGINT stops it fast.
func (c *Cluster) Foreground() []string { return []string{c.Bin.tool("postgres"), "-D", c.Data} }

// Start starts the server in the background and waits until it takes connections; recovery after a crash may take long
// and is only cut off by ctx. A server that runs already is fine. Error kinds: NotFound (no cluster), Precond (port
// taken, wrong version), NoSpace, Config.
func (c *Cluster) Start(ctx context.Context) error {
	const op = "start the database"
	if err := c.usable(op); err != nil {
		return err
	}
	if st, err := c.Status(ctx); err != nil || st.State == Running {
		return err
	}
	if err := c.CheckPort(ctx); err != nil {
		return err
	}
	if err := c.folders(); err != nil {
		return c.pathError(op, err)
	}
	from, err := c.openLog()
	if err != nil {
		return c.pathError(op, err)
	}
	if err := c.removeStalePID(); err != nil {
		return c.pathError(op, err)
	}
	for deadline := time.Now().Add(reapTime); ; time.Sleep(100 * time.Millisecond) {
		// The server inherits only the log: no lock of ours may outlive us in it.
		out, err := c.run(ctx, op, "pg_ctl", "start", "-D", c.Data, "-l", c.Log, "-w", "-t", "86400", "-s")
		if err == nil {
			return nil
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		}
		if ctx.Err() != nil {
			return uerr.New(uerr.Unreachable, op, c.Data, ctx.Err(), "it goes on starting; look: practicectl db status")
		}
		said := out + "\n" + readFrom(c.Log, from)
		if st, _ := c.Status(ctx); strings.Contains(said, pidFileExists) && st.State == Running {
			return nil // an interrupted run had started it, and it was not ready when we looked first
		}
		if !strings.Contains(said, pidFileExists) || time.Now().After(deadline) {
			return c.explain(op, said, err)
		}
	}
}

// A server that was killed stays as a zombie until its parent reaps it, and as long PostgreSQL takes it for alive.
const (
	reapTime      = 5 * time.Second
	pidFileExists = `lock file "postmaster.pid" already exists`
)

// removeStalePID removes a postmaster.pid from before the last boot of the machine. After a power cut its number may
// belong to another process of the same account, and PostgreSQL would refuse to start.
func (c *Cluster) removeStalePID() error {
	name := filepath.Join(c.Data, "postmaster.pid")
	raw, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if p := parsePIDFile(string(raw)); p.pid == 0 || p.since.IsZero() || !p.since.Before(bootTime()) {
		return nil
	}
	return os.Remove(name)
}

// CheckPort refuses a socket on which a server answers that is not this cluster's. Error kind: Precond.
func (c *Cluster) CheckPort(ctx context.Context) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", c.Socket())
	if err != nil {
		return nil // nobody answers: free
	}
	_ = conn.Close() // only tried
	return uerr.New(uerr.Precond, "use port", strconv.Itoa(c.Port), fmt.Errorf("another server answers on %s", c.Socket()),
		"choose another one: set database.port in practice.toml")
}

// openLog makes the log file for the account, puts a large one aside and returns where new lines will begin.
func (c *Cluster) openLog() (int64, error) {
	if info, err := os.Stat(c.Log); err == nil && info.Size() > maxLog {
		if err := os.Rename(c.Log, c.Log+".1"); err != nil {
			return 0, err
		}
	}
	f, err := os.OpenFile(c.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err = errors.Join(err, f.Close(), c.give(c.Log)); err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// readFrom returns at most the last 8 KiB of a file after an offset; what cannot be read explains nothing.
func readFrom(name string, from int64) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close() // only read
	if info, err := f.Stat(); err == nil && info.Size()-from > 8<<10 {
		from = info.Size() - 8<<10
	}
	raw, err := io.ReadAll(io.NewSectionReader(f, from, 8<<10))
	if err != nil {
		return ""
	}
	return string(raw)
}

// Stop stops the server fast: open transactions are rolled back, everything committed is on the disk. A stopped
// server is fine. Error kinds: NotFound (no cluster), Failed.
func (c *Cluster) Stop(ctx context.Context) error {
	const op = "stop the database"
	if !c.Initialized() {
		return c.notInitialized(nil)
	}
	if err := c.runnable(op); err != nil {
		return err
	}
	st, err := c.Status(ctx)
	if err != nil || st.State == Stopped {
		return err
	}
	_, err = c.run(ctx, op, "pg_ctl", "stop", "-D", c.Data, "-m", "fast", "-w", "-t", "600", "-s")
	return err
}

// Restart is Stop and Start.
func (c *Cluster) Restart(ctx context.Context) error {
	if err := c.Stop(ctx); err != nil {
		return err
	}
	return c.Start(ctx)
}

// Status looks at postmaster.pid and at the socket: a pid file that a crash left behind, even one whose number belongs
// to another process by now, reads as stopped. Error kind: NotFound (no cluster).
func (c *Cluster) Status(ctx context.Context) (Status, error) {
	if !c.Initialized() {
		return Status{}, c.notInitialized(nil)
	}
	raw, err := os.ReadFile(filepath.Join(c.Data, "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return Status{State: Stopped}, nil
	}
	if err != nil {
		return Status{}, c.pathError("read the state of the database", err)
	}
	p := parsePIDFile(string(raw))
	if p.pid == 0 || !alive(p.pid) {
		return Status{State: Stopped}, nil
	}
	st := Status{PID: p.pid, Since: p.since, Port: p.port}
	switch p.status {
	case "ready", "standby":
		conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", p.socket())
		if err != nil {
			return Status{State: Stopped}, ctx.Err()
		}
		_ = conn.Close() // only tried
		st.State = Running
	case "stopping":
		st.State = Stopping
	default:
		st.State = Starting
	}
	return st, nil
}

// ServerPID is the process that postmaster.pid in a data folder names, when it is alive and the file is not from before the last
// boot of the machine; else 0. It is stricter than [Cluster.Status], for who is about to change the files themselves.
func ServerPID(data string) (int, error) {
	raw, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	p := parsePIDFile(string(raw))
	if p.pid == 0 || !alive(p.pid) || !p.since.IsZero() && p.since.Before(bootTime()) {
		return 0, nil
	}
	return p.pid, nil
}

// pidFile is the content of postmaster.pid (src/include/utils/pidfile.h).
type pidFile struct {
	pid       int
	since     time.Time
	port      int
	socketDir string
	status    string
}

func (p pidFile) socket() string { return filepath.Join(p.socketDir, ".s.PGSQL."+strconv.Itoa(p.port)) }

// parsePIDFile reads what there is; a torn file gives a zero pid.
func parsePIDFile(text string) pidFile {
	line := strings.Split(text, "\n")
	at := func(i int) string {
		if i < len(line) {
			return strings.TrimSpace(line[i])
		}
		return ""
	}
	var p pidFile
	pid, err := strconv.Atoi(at(0))
	if err != nil || pid <= 0 {
		return p
	}
	p.pid = pid
	if sec, err := strconv.ParseInt(at(2), 10, 64); err == nil {
		p.since = time.Unix(sec, 0).UTC()
	}
	if port, err := strconv.Atoi(at(3)); err == nil {
		p.port = port
	}
	p.socketDir, p.status = at(4), at(7)
	return p
}
