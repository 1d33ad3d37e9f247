package pgcluster_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"practicectl/internal/lockfile"
	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// made returns a stopped cluster that the test account may reach as every role.
func made(t *testing.T, major int, extra map[string]string) *pgcluster.Cluster {
	t.Helper()
	c := testenv.PGStopped(t, major)
	if err := c.Init(t.Context(), pgcluster.InitOptions{Settings: rootSettings(extra), UnsafeNoSync: true}); err != nil {
		t.Fatal(err)
	}
	return c
}

func rootSettings(extra map[string]string) pgcluster.Settings {
	s := pgcluster.Settings{Name: "main", Memory: 2 << 30, Extra: extra}
	for _, role := range pgcluster.EveryRole() {
		s.Users = append(s.Users, pgcluster.UserMap{Account: "root", Role: role})
	}
	return s
}

func TestO1_ClusterIsMadeHardenedStartedAndStopped(t *testing.T) {
	for _, major := range testenv.PGMajors {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			c := made(t, major, nil)
			wantState(t, c, pgcluster.Stopped)
			for range 2 { // starting a running server is fine
				if err := c.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			st := wantState(t, c, pgcluster.Running)
			if st.PID == 0 || time.Since(st.Since) > time.Minute {
				t.Errorf("status %+v", st)
			}
			conn := connect(t, c, pgcluster.Superuser, "postgres")
			want := map[string]string{"listen_addresses": "", "data_checksums": "on", "data_directory_mode": "0750", "wal_level": "replica",
				"track_commit_timestamp": "on", "shared_buffers": "512MB", "max_connections": "60", "jit": "off", "server_encoding": "UTF8",
				"log_min_error_statement": "panic", "log_parameter_max_length_on_error": "0", "cluster_name": "main", "TimeZone": "UTC"}
			if major >= 17 {
				want["summarize_wal"], want["allow_alter_system"] = "on", "off"
			} else {
				want["wal_compression"] = "zstd"
			}
			for name, value := range want {
				if got := scalar[string](t, conn, "SELECT current_setting($1)", name); got != value {
					t.Errorf("%s is %q, want %q", name, got, value)
				}
			}
			if !scalar[bool](t, conn, "SELECT upper('straße äé') LIKE '%ÄÉ' AND 'Z' < 'a'") {
				t.Error("umlauts have no upper case, or the order is not that of the bytes")
			}
			if scalar[bool](t, conn, "SELECT EXISTS (SELECT FROM pg_hba_file_rules WHERE error IS NOT NULL OR auth_method IN ('trust','md5','password'))") ||
				scalar[bool](t, conn, "SELECT EXISTS (SELECT FROM pg_ident_file_mappings WHERE error IS NOT NULL)") ||
				scalar[bool](t, conn, "SELECT EXISTS (SELECT FROM pg_file_settings WHERE error IS NOT NULL)") {
				t.Error("the configuration has errors or lets somebody in without proof")
			}
			if err := c.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := c.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			wantState(t, c, pgcluster.Stopped)
		})
	}
}

func wantState(t *testing.T, c *pgcluster.Cluster, want pgcluster.State) pgcluster.Status {
	t.Helper()
	st, err := c.Status(t.Context())
	if err != nil || st.State != want {
		t.Fatalf("state %v, %v; want %v", st.State, err, want)
	}
	return st
}

func TestLocalSettingsStayAndTheGeneratedOnesConverge(t *testing.T) {
	c := made(t, 18, nil)
	local, generated := filepath.Join(c.Data, "conf.d", "50-local.conf"), filepath.Join(c.Data, "conf.d", "10-practicectl.conf")
	if err := os.WriteFile(local, []byte("work_mem = '33MB'\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(generated)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(generated, []byte("port = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.Configure(t.Context(), rootSettings(nil)); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(generated)
	if err != nil || string(after) != string(before) {
		t.Errorf("the generated settings differ: %v\n%s", err, after)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := scalar[string](t, connect(t, c, pgcluster.Superuser, "postgres"), "SHOW work_mem"); got != "33MB" {
		t.Errorf("work_mem is %s", got)
	}
}

func TestBadPlacesAreRefusedWithTheNextCommand(t *testing.T) {
	c := made(t, 15, nil)
	full := testenv.PGStopped(t, 15)
	if err := os.MkdirAll(filepath.Join(full.Data, "something"), 0o755); err != nil {
		t.Fatal(err)
	}
	empty := testenv.PGStopped(t, 15)
	asRoot := *empty
	asRoot.RunAs = &pgcluster.Account{Name: "root"}
	other := *c
	other.Bin = testenv.PGStopped(t, 18).Bin
	gone := *empty
	gone.Bin.Dir = "/nonexistent"
	long := *testenv.PGStopped(t, 15)
	long.SocketDir = filepath.Join(long.SocketDir, strings.Repeat("x", 100))
	init := func(c *pgcluster.Cluster) error {
		return c.Init(t.Context(), pgcluster.InitOptions{UnsafeNoSync: true})
	}
	for name, tc := range map[string]struct {
		err  error
		want uerr.Kind
	}{
		"a cluster is there already": {init(c), uerr.Precond},
		"folder is not empty":        {init(full), uerr.Precond},
		"root":                       {init(&asRoot), uerr.Precond},
		"no binaries":                {init(&gone), uerr.Precond},
		"start before init":          {empty.Start(t.Context()), uerr.NotFound},
		"stop before init":           {empty.Stop(t.Context()), uerr.NotFound},
		"configure before init":      {empty.Configure(t.Context(), pgcluster.Settings{}), uerr.NotFound},
		"binaries of another major":  {other.Start(t.Context()), uerr.Precond},
		"account that cannot be mapped": {c.Configure(t.Context(), pgcluster.Settings{
			Users: []pgcluster.UserMap{{Account: "a\"\nb", Role: pgcluster.RoleServer}}}), uerr.Config},
		"role that nobody may be": {c.Configure(t.Context(), pgcluster.Settings{
			Users: []pgcluster.UserMap{{Account: "a", Role: "pm_owner"}}}), uerr.Config},
	} {
		if uerr.KindOf(tc.err) != tc.want || tc.err == nil {
			t.Errorf("%s: %v (%v), want %v", name, tc.err, uerr.KindOf(tc.err), tc.want)
		} else if tc.want != uerr.Config && uerr.HintOf(tc.err) == "" {
			t.Errorf("%s: no hint", name)
		}
	}
	if err := init(&long); err != nil {
		t.Fatal(err)
	}
	if err := long.Start(t.Context()); uerr.KindOf(err) != uerr.Precond || !strings.Contains(uerr.HintOf(err), "shorter") {
		t.Errorf("long socket path: %v, hint %q", err, uerr.HintOf(err))
	}
	if err := os.WriteFile(filepath.Join(c.Data, "conf.d", "50-local.conf"), []byte("work_memm = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); uerr.KindOf(err) != uerr.Config || !strings.Contains(err.Error(), "work_memm") {
		t.Errorf("mistake in 50-local.conf: %v", err)
	}
}

func TestTakenPortIsRefused(t *testing.T) {
	first := testenv.PG(t, 15)
	second := made(t, 18, nil)
	second.SocketDir, second.Port = first.SocketDir, first.Port
	if err := second.Configure(t.Context(), rootSettings(nil)); err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); uerr.KindOf(err) != uerr.Precond || !strings.Contains(uerr.HintOf(err), "port") {
		t.Errorf("got %v, hint %q", err, uerr.HintOf(err))
	}
	wantState(t, second, pgcluster.Stopped)
	wantState(t, first, pgcluster.Running)
}

func TestTheServerInheritsNoLock(t *testing.T) {
	c := made(t, 15, nil)
	path := filepath.Join(t.TempDir(), "job.lock")
	_, lock, err := lockfile.Acquire(t.Context(), path, "db start", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	_, again, err := lockfile.Acquire(t.Context(), path, "backup run", 0)
	if err != nil {
		t.Fatalf("the lock lives on in the server: %v", err)
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestAHalfMadeClusterIsMadeAnew(t *testing.T) {
	c := testenv.PGStopped(t, 15)
	if err := os.MkdirAll(filepath.Join(c.Data+".unverified", "base"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(c.Data, 0o755); err != nil { // an empty folder, made by an administrator
		t.Fatal(err)
	}
	if err := c.Init(t.Context(), pgcluster.InitOptions{UnsafeNoSync: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.Data + ".unverified"); err == nil || !c.Initialized() {
		t.Error("the half made cluster is still there")
	}
}
