package pgcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"practicectl/internal/uerr"
)

// toolEnv is all that PostgreSQL's programs get to see: a stray PGDATA or LC_ALL must not steer them, and messages
// come in English so that they can be understood.
var toolEnv = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "LANG=C", "TZ=UTC"}

// command prepares one of PostgreSQL's programs to run as the cluster's account.
func (c *Cluster) command(ctx context.Context, tool string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Bin.tool(tool), args...)
	cmd.Env = toolEnv
	cmd.Dir = "/"
	if exeSuffix != "" {
		cmd.Dir = c.Bin.Dir
	}
	cmd.WaitDelay = 5 * time.Second
	c.Credential(cmd)
	return cmd
}

// run runs a program and returns what it printed. On failure the error carries the last lines of it.
func (c *Cluster) run(ctx context.Context, op, tool string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := c.command(ctx, tool, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	dieWithCaller(cmd)
	runtime.LockOSThread() // Linux means the thread when it says parent
	err := cmd.Run()
	runtime.UnlockOSThread()
	if err == nil {
		return out.String(), nil
	}
	if ctx.Err() != nil {
		return out.String(), ctx.Err()
	}
	return out.String(), c.explain(op, out.String(), err)
}

// symptoms maps what PostgreSQL says to the kind of error and to what helps. The first match counts.
var symptoms = []struct {
	text string
	kind uerr.Kind
	why  string
	hint string
}{
	{"No space left on device", uerr.NoSpace, "the disk is full", "free space on the disk of the data directory, then: practicectl db start"},
	{"Disk quota exceeded", uerr.NoSpace, "the disk quota is used up", "free space on the disk of the data directory, then: practicectl db start"},
	{"lock file \"postmaster.pid\" already exists", uerr.Precond, "a server is already running on this data directory", "look: practicectl db status"},
	{"Address already in use", uerr.Precond, "the port is taken by another program", "choose another one: set database.port in practice.toml"},
	{"could not bind", uerr.Precond, "the port cannot be opened", "choose another one: set database.port in practice.toml"},
	{".lock\" already exists", uerr.Precond, "the port is taken by another PostgreSQL", "choose another one: set database.port in practice.toml"},
	{"is too long (maximum", uerr.Precond, "the path of the socket is too long", "use a shorter --prefix"},
	{"initialized by PostgreSQL version", uerr.Precond, "the cluster belongs to another version of PostgreSQL", "give the right binaries: set database.bin in practice.toml"},
	{"could not look up effective user ID", uerr.Precond, "the account has no name", "PostgreSQL needs an account with a name: add the user to /etc/passwd"},
	{"cannot be run as root", uerr.Precond, "PostgreSQL does not run as root", "run the command as an ordinary user"},
	{"exists but is not empty", uerr.Precond, "the folder is not empty", "choose an empty folder for the cluster"},
	{"has wrong ownership", uerr.Precond, "the data directory belongs to another account", "run the command as the account that owns it"},
	{"invalid permissions", uerr.Precond, "the data directory has the wrong permissions", "chmod 0750 the data directory"},
	{"Permission denied", uerr.Precond, "a file or folder is not accessible to the account", "check the permissions of the folders above it"},
	{"configuration file", uerr.Config, "the configuration has an error", "correct conf.d/50-local.conf in the data directory"},
	{"error while loading shared libraries", uerr.Precond, "the PostgreSQL binaries are incomplete", "install them again: practicectl component add postgresql"},
}

// explain turns the output of a failed program into an error for a person.
func (c *Cluster) explain(op, output string, err error) error {
	why := lastLines(output, 6)
	if errors.Is(err, os.ErrNotExist) {
		return uerr.New(uerr.Precond, op, c.Bin.Dir, err, "install PostgreSQL: "+AptLine)
	}
	for _, s := range symptoms {
		if strings.Contains(output, s.text) {
			return uerr.New(s.kind, op, c.Data, fmt.Errorf("%s (%s)", s.why, why), s.hint)
		}
	}
	if why == "" {
		why = err.Error()
	}
	return uerr.New(uerr.Failed, op, c.Data, errors.New(why), "read the log: "+c.Log)
}

// lastLines returns the last n lines of text that say something, joined by "; ".
func lastLines(text string, n int) string {
	var keep []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "waiting for server") && !strings.HasPrefix(line, "stopped waiting") &&
			!strings.HasPrefix(line, "Examine the log output") {
			keep = append(keep, line)
		}
	}
	if len(keep) > n {
		keep = keep[len(keep)-n:]
	}
	return strings.Join(keep, "; ")
}
