// Package testenv gives tests real servers of their own: PostgreSQL clusters and S3 stores. Only tests import it; what is
// missing on the machine fails the test with the line that installs it.
package testenv

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

// PGMajors is the PostgreSQL versions that every test of the database runs on: the newest one of the npm bundle and
// Debian's.
var PGMajors = []int{18, 15}

// PGOption changes the cluster that PG makes.
type PGOption func(*pgSetup)

type pgSetup struct {
	fresh     bool
	bootstrap bool
	settings  pgcluster.Settings
}

// Fresh makes a cluster of its own identity. Without it all clusters of a version are copies of one template and share
// their system identifier.
func Fresh(s *pgSetup) { s.fresh = true }

// Bootstrapped adds the product's roles, the database "practice" and its extensions.
func Bootstrapped(s *pgSetup) { s.bootstrap = true }

// Param sets a parameter of the server.
func Param(name, value string) PGOption {
	return func(s *pgSetup) { s.settings.Extra[name] = value }
}

// PG starts a private PostgreSQL of a major version for the test and stops it at its end. The server runs in the
// foreground as a child of the test, as "nobody" when the test runs as root, in a path with a blank and an umlaut, and
// without fsync. A missing PostgreSQL fails the test with the line that installs it.
func PG(t testing.TB, major int, options ...PGOption) *pgcluster.Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	setup := pgSetup{settings: pgcluster.Settings{Memory: 512 << 20, Extra: map[string]string{"fsync": "off", "wal_compression": "pglz"}}}
	for _, o := range options {
		o(&setup)
	}
	c := PGStopped(t, major)
	if os.Geteuid() == 0 {
		for _, role := range pgcluster.EveryRole() {
			setup.settings.Users = append(setup.settings.Users, pgcluster.UserMap{Account: "root", Role: role})
		}
	}
	if err := setup.lay(ctx, c); err != nil {
		t.Fatal(explain(err))
	}
	startForeground(ctx, t, c)
	if setup.bootstrap && setup.fresh {
		if err := pgcluster.Bootstrap(ctx, c, pgcluster.BootstrapOptions{}); err != nil {
			t.Fatal(explain(err))
		}
	}
	return c
}

// PGStopped returns a cluster that is not made yet, with folders for it that go away with the test.
func PGStopped(t testing.TB, major int) *pgcluster.Cluster {
	t.Helper()
	bin, err := pgcluster.FindForDevelopment(t.Context(), pgcluster.DevelopmentOptions{
		Dist: os.Getenv("PRACTICE_PG_DIST"), Cache: ToolsDir(), Major: major})
	if err != nil {
		t.Fatal(explain(err))
	}
	dir, account := pgFolder(t)
	c := &pgcluster.Cluster{Bin: bin, Data: filepath.Join(dir, "Daten ü", "pg"), SocketDir: dir,
		Log: filepath.Join(dir, "postgres.log"), Port: pgcluster.DefaultPort, RunAs: account}
	t.Cleanup(func() { showLog(t, c) })
	t.Cleanup(func() { stopPG(t, c) })
	return c
}

// ToolsDir is where tests keep what they fetched or built: PRACTICE_TOOLS or a folder in /var/tmp.
func ToolsDir() string {
	if dir := os.Getenv("PRACTICE_TOOLS"); dir != "" {
		return dir
	}
	return "/var/tmp/practicectl-cache"
}

// pgFolder makes a short private folder for the account that runs the server: socket paths have a limit, and t.TempDir
// is too long and not traversable.
func pgFolder(t testing.TB) (string, *pgcluster.Account) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if os.Geteuid() != 0 {
		return dir, nil
	}
	account, err := pgcluster.LookupAccount("nobody")
	if err == nil {
		err = own(dir, account)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, account
}

// startForeground runs the server as our child, so that it is reaped whoever kills it.
func startForeground(ctx context.Context, t testing.TB, c *pgcluster.Cluster) {
	t.Helper()
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err == nil {
		err = own(c.Log, c.RunAs)
	}
	if err != nil {
		t.Fatal(err)
	}
	argv := c.Foreground()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = "/", log, log, []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	c.Credential(cmd)
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait(); _ = log.Close() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may be gone already
		select {
		case err := <-gone:
			t.Logf("PostgreSQL ended: %v", err)
		case <-time.After(30 * time.Second):
			t.Error("PostgreSQL did not end within 30 s")
			_ = cmd.Process.Kill()
		}
	})
	for {
		st, err := c.Status(ctx)
		if err != nil {
			t.Fatal(explain(err))
		}
		if st.State == pgcluster.Running {
			return
		}
		select {
		case err := <-gone:
			gone <- err
			t.Fatalf("PostgreSQL ended while starting: %v", err)
		case <-ctx.Done():
			t.Fatalf("PostgreSQL does not become ready: %v", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func stopPG(t testing.TB, c *pgcluster.Cluster) {
	if !c.Initialized() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := c.Stop(ctx); err != nil {
		t.Errorf("stop PostgreSQL: %v", explain(err))
	}
}

// showLog prints the end of the server's log when the test failed.
func showLog(t testing.TB, c *pgcluster.Cluster) {
	if !t.Failed() {
		return
	}
	raw, err := os.ReadFile(c.Log)
	if err != nil {
		return
	}
	lines := strings.Split(string(bytes.TrimSpace(raw)), "\n")
	if len(lines) > 60 {
		lines = lines[len(lines)-60:]
	}
	t.Logf("log of PostgreSQL %s:\n%s", c.Bin.Version, strings.Join(lines, "\n"))
}

// explain adds the hint, which says what to install.
func explain(err error) error {
	if hint := uerr.HintOf(err); hint != "" {
		return fmt.Errorf("%w\n  fix: %s", err, hint)
	}
	return err
}
