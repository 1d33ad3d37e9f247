// Package testenv gives tests real servers of their own: PostgreSQL clusters and S3 stores. Only tests import it; what is
// missing on the machine fails the test with the line that installs it.
package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"practicectl/internal/lockfile"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

// PGMajors is the PostgreSQL versions that every test of the database runs on: the newest one of the npm bundle and
// Debian's.
var PGMajors = []int{18, 15} //nolint:gochecknoglobals // constant

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

// lay makes the data directory: by initdb, or as a copy of the template, which costs a tenth.
func (s pgSetup) lay(ctx context.Context, c *pgcluster.Cluster) error {
	if s.fresh {
		return c.Init(ctx, pgcluster.InitOptions{Settings: s.settings, UnsafeNoSync: true})
	}
	template, err := s.template(ctx, c)
	if err != nil {
		return err
	}
	parent := filepath.Dir(c.Data)
	if err := os.MkdirAll(parent, 0o750); err != nil {
		return err
	}
	if err := own(parent, c.RunAs); err != nil {
		return err
	}
	if err := copyTree(template, c.Data, c.RunAs); err != nil {
		return err
	}
	return c.Configure(ctx, s.settings)
}

// templateFormat changes when Bootstrap or initdb's options change in a way that tests can see.
const templateFormat = 1

// template returns the data directory to copy, making it once per machine, version and account.
func (s pgSetup) template(ctx context.Context, c *pgcluster.Cluster) (string, error) {
	kind := "bare"
	if s.bootstrap {
		kind = "practice-" + pgcluster.BootstrapVersion()
	}
	dir := filepath.Join(templates(), fmt.Sprintf("pg-template-%s-%d-%s-%d", c.Bin.Version, templateFormat, kind, os.Geteuid()))
	_, lock, err := lockfile.Acquire(ctx, dir+".lock", "make the PostgreSQL template", 3*time.Minute)
	if err != nil {
		return "", err
	}
	defer lock.Release() //nolint:errcheck // the kernel frees it in any case
	if _, err := os.Stat(filepath.Join(dir, "PG_VERSION")); err == nil {
		return dir, nil
	}
	made := *c
	made.Data = c.Data + ".template"
	if err := made.Init(ctx, pgcluster.InitOptions{Settings: s.settings, UnsafeNoSync: true}); err != nil {
		return "", err
	}
	if s.bootstrap {
		if err := made.Start(ctx); err != nil {
			return "", err
		}
		if err := pgcluster.Bootstrap(ctx, &made, pgcluster.BootstrapOptions{}); err != nil {
			return "", err
		}
		if err := made.Stop(ctx); err != nil {
			return "", err
		}
	}
	if err := os.RemoveAll(dir + ".new"); err != nil {
		return "", err
	}
	if err := copyTree(made.Data, dir+".new", c.RunAs); err != nil {
		return "", err
	}
	return dir, os.Rename(dir+".new", dir)
}

// templates is where templates are kept: with the tools, or where another account made that folder, in one of our own.
func templates() string {
	if err := os.MkdirAll(ToolsDir(), 0o755); err == nil {
		if f, err := os.CreateTemp(ToolsDir(), "probe-"); err == nil {
			_, _ = f.Close(), os.Remove(f.Name()) // a leftover is empty
			return ToolsDir()
		}
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("practicectl-cache-%d", os.Geteuid()))
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
		case <-gone:
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

// own gives a path to the account; nil leaves it alone.
func own(path string, account *pgcluster.Account) error {
	if account == nil {
		return nil
	}
	return os.Lchown(path, int(account.UID), int(account.GID))
}

// copyTree copies a data directory, handing every entry to the account.
func copyTree(from, to string, account *pgcluster.Account) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		if d.IsDir() {
			err = os.Mkdir(dst, info.Mode().Perm())
		} else {
			err = copyFile(path, dst, info.Mode().Perm())
		}
		if err != nil {
			return err
		}
		return own(dst, account)
	})
}

// copyFile copies one file; the kernel shares the blocks where the file system can.
func copyFile(from, to string, perm fs.FileMode) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close() // only read
	w, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}

// explain adds the hint, which says what to install.
func explain(err error) error {
	if hint := uerr.HintOf(err); hint != "" {
		return fmt.Errorf("%w\n  fix: %s", err, hint)
	}
	return err
}
