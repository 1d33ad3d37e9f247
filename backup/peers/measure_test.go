package peers

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cost is what one command cost, with all processes that it started.
type cost struct {
	Wall     time.Duration
	CPU      time.Duration // user and system
	Memory   int64         // bytes: the largest sum of what the processes held at one time
	Sent     int64         // bytes that the store received
	Received int64         // bytes that the store gave
	Requests int64
}

// least is the smaller of two measurements in each respect: what disturbed one of them is not the command's.
func least(a, b cost) cost {
	return cost{Wall: min(a.Wall, b.Wall), CPU: min(a.CPU, b.CPU), Memory: min(a.Memory, b.Memory), Sent: min(a.Sent, b.Sent),
		Received: min(a.Received, b.Received), Requests: min(a.Requests, b.Requests)}
}

// run runs a command to its end and returns what it cost and what it printed. With durable set, the time until everything below
// that folder is on the disk belongs to it.
func (m *machine) run(t testing.TB, env []string, durable string, argv ...string) (cost, []byte) {
	t.Helper()
	c, out, err := m.try(t, env, durable, argv...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return c, out
}

func (m *machine) try(t testing.TB, env []string, durable string, argv ...string) (cost, []byte, error) {
	t.Helper()
	var out, said bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = m.dir, &out, &said
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.dir, "TMPDIR=" + m.dir, "GOMAXPROCS=" + os.Getenv("GOMAXPROCS")}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: m.credential}
	before := m.traffic(t)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var c cost
	var err error
	for waiting := true; waiting; {
		select {
		case err = <-ended:
			waiting = false
		case <-time.After(10 * time.Millisecond):
			c.Memory = max(c.Memory, residentTree(cmd.Process.Pid))
		}
	}
	if err == nil && durable != "" {
		err = syncBelow(durable)
	}
	c.Wall = time.Since(began)
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.Memory = max(c.Memory, usage.Maxrss<<10)
	}
	c.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	after := m.traffic(t)
	c.Sent, c.Received, c.Requests = after.Sent-before.Sent, after.Received-before.Received, after.Requests-before.Requests
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, said.Bytes())
	}
	return c, out.Bytes(), err
}

// syncBelow waits until the file system that holds path has written everything.
func syncBelow(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // only opened
	return unix.Syncfs(int(f.Fd()))
}

// residentTree sums the resident memory of a process and its descendants, in bytes.
func residentTree(pid int) int64 {
	sum := int64(0)
	if fields := strings.Fields(readProc(pid, "statm")); len(fields) > 1 {
		pages, _ := strconv.ParseInt(fields[1], 10, 64)
		sum = pages * int64(os.Getpagesize())
	}
	tasks, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "children"))
	for _, task := range tasks {
		children, _ := os.ReadFile(task)
		for child := range strings.FieldsSeq(string(children)) {
			if id, err := strconv.Atoi(child); err == nil {
				sum += residentTree(id)
			}
		}
	}
	return sum
}

// readProc is a file of a process, empty when it has ended.
func readProc(pid int, name string) string {
	data, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name))
	return string(data)
}
