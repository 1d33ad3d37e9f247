package installer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/paths"
	"practicectl/internal/pgcluster"
	"practicectl/internal/steps"
	"practicectl/internal/uerr"
	"practicectl/release"
)

// open finds PostgreSQL and returns the cluster of the instance, made or not.
func (j *job) open(ctx context.Context) (*pgcluster.Cluster, error) {
	dir := j.d.PGBin
	if j.d.Provider == pgcluster.ProviderBundled {
		dir = j.i.slots(release.Postgres).CurrentPath()
	}
	bin, err := pgcluster.FindFor(ctx, j.d.Provider, dir, j.i.o.Layout.PGData())
	return pgcluster.At(j.i.o.Layout, bin, j.d.PGPort), err
}

// cluster makes the database cluster. One that is there, from a restore or an earlier installation, is adopted.
func (j *job) cluster() steps.Step {
	c := pgcluster.At(j.i.o.Layout, pgcluster.Binaries{}, j.d.PGPort)
	return steps.Func{
		ID: "cluster", Action: "make the database cluster in " + c.Data,
		On: func(context.Context) (steps.State, error) {
			if c.Initialized() {
				return steps.Satisfied, nil
			}
			return steps.Change, nil
		},
		Do: func(ctx context.Context) error {
			c, err := j.open(ctx)
			if err != nil {
				return err
			}
			if c.Initialized() {
				return nil
			}
			return c.Init(ctx, pgcluster.InitOptions{Settings: j.clusterOptions(), UnsafeNoSync: j.i.o.unsafeNoSync})
		},
		// Put aside, never deleted: between the crash of one run and the next one, somebody may have used it.
		Revert: func(context.Context) error {
			if !c.Initialized() {
				return nil
			}
			aside := c.Data + ".undone-" + j.i.o.Now().UTC().Format("20060102T150405")
			j.i.o.Progress.Warn("the new database cluster was put aside as %s", aside)
			return atomicfile.Rename(c.Data, aside)
		},
	}
}

func (j *job) clusterOptions() pgcluster.Settings {
	s := pgcluster.Settings{Name: "practice-" + j.i.o.Layout.Instance}
	if j.i.o.unsafeNoSync {
		s.Extra = map[string]string{"fsync": "off"}
	}
	return s
}

// clusterSettings writes the generated part of the cluster's configuration, also over an adopted cluster's.
func (j *job) clusterSettings() steps.Step {
	c := pgcluster.At(j.i.o.Layout, pgcluster.Binaries{}, j.d.PGPort)
	files := []string{filepath.Join(c.Data, "conf.d", "10-practicectl.conf"), filepath.Join(c.Data, "pg_hba.conf"), filepath.Join(c.Data, "pg_ident.conf")}
	return steps.Func{
		ID: "cluster settings", Action: "configure the database cluster for port " + strconv.Itoa(c.Port),
		On: func(context.Context) (steps.State, error) {
			if _, err := os.Stat(j.bootstrapMark()); err != nil {
				return steps.Change, nil // made by another machine: its account and its memory are in there
			}
			conf, err := os.ReadFile(files[0])
			if err == nil && hasLine(string(conf), "port", strconv.Itoa(c.Port)) && strings.Contains(string(conf), c.SocketDir) {
				return steps.Satisfied, nil
			}
			return steps.Change, nil
		},
		Do: func(ctx context.Context) error {
			c, err := j.open(ctx)
			if err != nil {
				return err
			}
			for _, f := range files {
				if err := j.i.before().save(f); err != nil {
					return cannot("keep", f, err)
				}
			}
			return c.Configure(ctx, j.clusterOptions())
		},
		Revert: func(context.Context) error {
			var errs []error
			for _, f := range files {
				errs = append(errs, j.i.before().restore(f))
			}
			return errors.Join(errs...)
		},
	}
}

func hasLine(conf, key, value string) bool {
	for line := range strings.Lines(conf) {
		if k, v, ok := strings.Cut(line, "="); ok && strings.TrimSpace(k) == key && strings.Trim(strings.TrimSpace(v), "'") == value {
			return true
		}
	}
	return false
}

// bootstrapMark is missing where this machine has not prepared a cluster yet.
func (j *job) bootstrapMark() string { return filepath.Join(j.i.o.Layout.Var(), "bootstrap") }

// bootstrap makes roles, database and extensions. Which ones the cluster has is remembered beside the receipts.
func (j *job) bootstrap() steps.Step {
	mark := j.bootstrapMark()
	// The mark names the cluster too: another one in the same folder has to be prepared anew.
	want := func() (string, error) {
		control, err := pgcluster.ReadControl(j.i.o.Layout.PGData())
		return fmt.Sprintf("%s %d %s\n", pgcluster.BootstrapVersion(), control.SystemID, j.d.Database), err
	}
	return steps.Func{
		ID: "bootstrap", Action: "make the roles and the database " + j.d.Database,
		On: func(context.Context) (steps.State, error) {
			text, err := want()
			if err != nil {
				return steps.Change, nil // there is no cluster yet
			}
			if got, err := os.ReadFile(mark); err == nil && string(got) == text {
				return steps.Satisfied, nil
			}
			return steps.Change, nil
		},
		Do: func(ctx context.Context) error {
			c, err := j.open(ctx)
			if err != nil {
				return err
			}
			if err := waitForDatabase(ctx, c); err != nil {
				return err
			}
			if err := pgcluster.Bootstrap(ctx, c, pgcluster.BootstrapOptions{Database: j.d.Database}); err != nil {
				return err
			}
			text, err := want()
			if err != nil {
				return err
			}
			if err := j.i.before().save(mark); err != nil {
				return err
			}
			return atomicfile.WriteBytes(mark, 0o640, []byte(text))
		},
		Revert: func(context.Context) error { return j.i.before().restore(mark) },
	}
}

// waitForDatabase waits until a cluster that runs takes connections: its socket opens before its recovery ends.
func waitForDatabase(ctx context.Context, c *pgcluster.Cluster) error {
	for end := time.Now().Add(10 * time.Minute); ; {
		conn, err := c.Connect(ctx, pgcluster.Superuser, "postgres")
		if err == nil {
			return conn.Close(ctx)
		}
		if uerr.KindOf(err) != uerr.Unreachable || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// schema runs the migrations of the installed server.
func (j *job) schema() steps.Step {
	return steps.Func{
		ID: "schema", Action: "bring the schema of the database up to date",
		On: func(ctx context.Context) (steps.State, error) {
			known, applied, err := askSchema(ctx, j.i.serverProgram, j.i.o.Layout)
			switch {
			case err != nil:
				return steps.Change, nil // not installed or not running yet: Apply will say what is wrong
			case applied > known:
				return steps.Blocked, uerr.New(uerr.Precond, "use the database of", j.i.o.Layout.Instance,
					fmt.Errorf("its schema %d is newer than what the server knows, %d", applied, known), "install the version of the server that made it: practicectl update apply")
			case applied == known:
				return steps.Satisfied, nil
			}
			return steps.Change, nil
		},
		Do: func(ctx context.Context) error {
			program, err := j.i.serverProgram()
			if err != nil {
				return err
			}
			_, err = serverCommand(ctx, program, j.i.o.Layout, "migrate")
			return err
		},
		Proof: func(ctx context.Context) error {
			known, applied, err := askSchema(ctx, j.i.serverProgram, j.i.o.Layout)
			if err == nil && known != applied {
				err = fmt.Errorf("the schema is %d, not %d", applied, known)
			}
			return err
		},
	}
}

func (i *Installer) serverProgram() (string, error) {
	return i.program(release.Server, "practice-server")
}

// askSchema asks a server program which schema it knows and which one the database has.
func askSchema(ctx context.Context, program func() (string, error), l paths.Layout) (known, applied int, err error) {
	path, err := program()
	if err != nil {
		return 0, 0, err
	}
	out, err := serverCommand(ctx, path, l, "schema", "--json")
	if err != nil {
		return 0, 0, err
	}
	var v struct{ Known, Applied int }
	if err := json.Unmarshal(out, &v); err != nil {
		return 0, 0, uerr.New(uerr.Failed, "ask for the schema", path, err, "")
	}
	return v.Known, v.Applied, nil
}

// serverCommand runs a command of the server program for an instance and returns its output. A failure carries the last
// lines that it said, and the kind of its exit code.
func serverCommand(ctx context.Context, program string, l paths.Layout, args ...string) ([]byte, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, program, append(args, "--prefix", l.Prefix, "--instance", l.Instance)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	err := cmd.Run()
	if err == nil {
		return out.Bytes(), nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	kind := uerr.Failed
	for _, k := range uerr.Kinds {
		if cmd.ProcessState != nil && k.Exit == cmd.ProcessState.ExitCode() {
			kind = k.Kind
		}
	}
	if said := strings.TrimSpace(errs.String()); said != "" {
		err = errors.New(lastLines(said, 5))
	}
	return nil, uerr.New(kind, "run "+filepath.Base(program)+" "+args[0]+" for", l.Instance, err, "practicectl doctor")
}

func lastLines(s string, n int) string {
	lines := strings.Split(s, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
