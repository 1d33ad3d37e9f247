package pgcluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"practicectl/internal/uerr"
)

func TestWhatPostgreSQLSaysBecomesAKindAndAHint(t *testing.T) {
	c := &Cluster{Data: "/d", Log: "/l"}
	for said, want := range map[string]uerr.Kind{
		`FATAL:  could not write to file "pg_wal/xlogtemp.42": No space left on device`:                 uerr.NoSpace,
		`initdb: error: could not create directory "/x/base": Disk quota exceeded`:                      uerr.NoSpace,
		`LOG:  could not bind IPv4 address "127.0.0.1": Address already in use`:                         uerr.Precond,
		`FATAL:  lock file "/run/.s.PGSQL.5499.lock" already exists`:                                    uerr.Precond,
		`FATAL:  could not load library: error while loading shared libraries: libicui18n.so.60`:        uerr.Precond,
		`initdb: error: could not look up effective user ID 54321: user does not exist`:                 uerr.Precond,
		`FATAL:  configuration file "/d/postgresql.conf" contains errors`:                               uerr.Config,
		`DETAIL:  The data directory was initialized by PostgreSQL version 15, which is not compatible`: uerr.Precond,
		`FATAL:  something that nobody has seen before`:                                                 uerr.Failed,
	} {
		err := c.explain("start", said, errors.New("exit status 1"))
		if uerr.KindOf(err) != want || uerr.HintOf(err) == "" || !strings.Contains(err.Error(), "start /d") {
			t.Errorf("%q: %v (%v), hint %q", said, err, uerr.KindOf(err), uerr.HintOf(err))
		}
	}
}

func TestNoPostgreSQLNamesTheAptLine(t *testing.T) {
	for major, line := range map[int]string{0: AptLine, 15: AptLine + "-15"} {
		_, err := findSystem(t.Context(), []string{filepath.Join(t.TempDir(), "*", "bin")}, major)
		if uerr.KindOf(err) != uerr.Precond || uerr.HintOf(err) != line {
			t.Errorf("%d: %v, hint %q", major, err, uerr.HintOf(err))
		}
	}
}

func TestUnusableBinariesAreRefused(t *testing.T) {
	fake := func(script string) string {
		dir := t.TempDir()
		for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	for name, tc := range map[string]struct{ dir, says string }{
		"empty folder":   {t.TempDir(), "initdb is missing"},
		"too old":        {fake("echo 'postgres (PostgreSQL) 13.2'"), "not supported"},
		"too new":        {fake("echo 'postgres (PostgreSQL) 19devel'"), "not supported"},
		"not PostgreSQL": {fake("echo hello"), "does not say its version"},
		"does not run":   {fake("echo broken >&2; exit 1"), "broken"},
	} {
		_, err := Find(t.Context(), ProviderSystem, tc.dir)
		if uerr.KindOf(err) != uerr.Precond || !strings.Contains(err.Error(), tc.says) || !strings.Contains(uerr.HintOf(err), AptLine) {
			t.Errorf("%s: %v, hint %q", name, err, uerr.HintOf(err))
		}
	}
	if _, err := Find(t.Context(), "docker", ""); uerr.KindOf(err) != uerr.Config {
		t.Errorf("unknown provider: %v", err)
	}
	if _, err := Find(t.Context(), ProviderBundled, ""); uerr.KindOf(err) != uerr.Precond {
		t.Errorf("bundled without a folder: %v", err)
	}
	if b, err := Find(t.Context(), ProviderSystem, fake("echo 'postgres (PostgreSQL) 17.2 (Ubuntu 17.2-1)'")); err != nil || b.Major != 17 || b.Version != "17.2" {
		t.Errorf("17.2: %+v, %v", b, err)
	}
}

func TestConnStringSurvivesStrangePaths(t *testing.T) {
	for _, dir := range []string{"/run/practice/main", "/tmp/Praxis Müller", `/tmp/it's`, `/tmp/back\slash`} {
		cfg, err := pgconn.ParseConfig((&Cluster{SocketDir: dir, Port: 5499}).ConnString("pm_server", "my db"))
		if err != nil || cfg.Host != dir || cfg.Port != 5499 || cfg.User != "pm_server" || cfg.Database != "my db" || cfg.Password != "" {
			t.Errorf("%s: %+v, %v", dir, cfg, err)
		}
	}
}

func TestTuningFollowsTheMachine(t *testing.T) {
	for _, tc := range []struct {
		memory, disk                          uint64
		buffers, work, maintenance, wal, slot string
	}{
		{0, 0, "512MB", "8MB", "102MB", "1GB", "20GB"}, // nothing known: the smallest host
		{4 * gib, 40 * gib, "1GB", "8MB", "204MB", "1GB", "8GB"},
		{32 * gib, 1000 * gib, "8GB", "16MB", "1GB", "4GB", "20GB"},
		{512 * mib, 2 * gib, "128MB", "8MB", "32MB", "1GB", "1GB"},
	} {
		got := map[string]string{}
		for _, l := range tuning(tc.memory, tc.disk) {
			got[l[0]] = l[1]
		}
		for name, want := range map[string]string{"shared_buffers": tc.buffers, "work_mem": tc.work, "maintenance_work_mem": tc.maintenance,
			"max_wal_size": tc.wal, "max_slot_wal_keep_size": tc.slot} {
			if got[name] != want {
				t.Errorf("%d MB of RAM, %d MB of disk: %s is %s, want %s", tc.memory/mib, tc.disk/mib, name, got[name], want)
			}
		}
	}
}

func TestPIDFile(t *testing.T) {
	p := parsePIDFile("4711\n/data dir\n1700000000\n5499\n/run/ü x\n\n  5501 1\nready   \n")
	if p.pid != 4711 || p.socket() != "/run/ü x/.s.PGSQL.5499" || p.status != "ready" || !p.since.Equal(time.Unix(1700000000, 0)) {
		t.Errorf("%+v", p)
	}
	for _, torn := range []string{"", "\n", "abc", "-1\n", "0"} {
		if p := parsePIDFile(torn); p.pid != 0 {
			t.Errorf("%q: %+v", torn, p)
		}
	}
}
