package backup_test

import (
	"os"
	"path/filepath"
	"testing"

	"practicectl/backup"
	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
)

// TestO5_ARestoredCopyKeepsToItself saves a practice that archives, follows and waits for others, listens, and loads a library. Its
// copy does none of that, until it is put into service.
func TestO5_ARestoredCopyKeepsToItself(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		archive := filepath.Join(filepath.Dir(restoreFolder(t, testenv.PGStopped(t, major))), "archive")
		wild := map[string]string{"archive_mode": "on", "archive_command": "touch " + archive, "archive_cleanup_command": "touch " + archive,
			"recovery_end_command": "touch " + archive, "primary_conninfo": "host=192.0.2.1", "primary_slot_name": "elsewhere",
			"max_logical_replication_workers": "3", "shared_preload_libraries": "auto_explain", "session_preload_libraries": "auto_explain"}
		var options []testenv.PGOption
		for name, value := range wild {
			options = append(options, testenv.Param(name, value))
		}
		c := testenv.PG(t, major, append(options, testenv.Bootstrapped)...)
		conn := connect(t, c)
		fill(t, conn, 100)
		execSQL(t, conn, `SELECT pg_create_physical_replication_slot('follower', true)`)
		execSQL(t, conn, `CHECKPOINT`)
		st, _ := dirStore(t)
		g := newRig(t, st)
		g.run(source(c))
		// Also what its administrator had set, which generated files do not overwrite.
		local := filepath.Join(c.Data, "conf.d", "50-local.conf")
		if err := os.WriteFile(local, []byte("synchronous_standby_names = '*'\nsynchronous_commit = remote_apply\nlisten_addresses = '127.0.0.1'\n"), 0o640); err != nil {
			t.Fatal(err)
		}
		g.run(source(c))
		_ = os.Remove(archive)
		target := restoreFolder(t, c)
		g.restore("latest", target, backup.RestoreOptions{Own: own(c)})
		copied := startCopy(t, c, filepath.Join(target, "pg"))
		tame := connect(t, copied)
		for name, want := range map[string]string{"archive_mode": "off", "archive_command": "(disabled)", "archive_library": "", "primary_conninfo": "", "primary_slot_name": "",
			"synchronous_standby_names": "", "max_logical_replication_workers": "0", "listen_addresses": "", "shared_preload_libraries": "", "session_preload_libraries": "",
			"archive_cleanup_command": "", "recovery_end_command": ""} {
			var got string
			if err := tame.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %q, want %q: %v", name, got, want, err)
			}
		}
		execSQL(t, tame, `SET statement_timeout = '20s'`)
		execSQL(t, tame, `UPDATE account SET note = 'wartet auf niemanden' WHERE id = 1`) // would wait for a standby
		execSQL(t, tame, `SELECT pg_switch_wal()`)                                        // would archive
		execSQL(t, tame, `CHECKPOINT`)
		var slots, workers int
		if err := tame.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('archiver', 'logical replication launcher', 'walreceiver'))`).Scan(&slots, &workers); err != nil || slots != 0 || workers != 0 {
			t.Errorf("%d slots, %d workers, %v", slots, workers, err)
		}
		gone(t, archive)
		// Put into service: it is configured once its recovery is over, and is the practice from its next start on.
		if err := copied.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := copied.Configure(t.Context(), pgcluster.Settings{Memory: 256 << 20}); err != nil {
			t.Fatal(err)
		}
		auto, err := os.ReadFile(filepath.Join(copied.Data, "postgresql.auto.conf"))
		if err != nil || len(pgcluster.Untamed(string(auto))) != len(auto) {
			t.Errorf("it stays tame: %q, %v", auto, err)
		}
	})
}
