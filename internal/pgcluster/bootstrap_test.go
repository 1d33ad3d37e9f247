package pgcluster_test

import (
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

func TestO1_BootstrapMakesRolesDatabaseAndRights(t *testing.T) {
	for _, major := range testenv.PGMajors {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			c := testenv.PG(t, major)
			for range 2 { // the second run changes nothing and fails at nothing
				if err := pgcluster.Bootstrap(t.Context(), c, pgcluster.BootstrapOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			super := connect(t, c, pgcluster.Superuser, "practice")
			checkRoles(t, super)
			if got := scalar[string](t, super, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'practice'"); got != "pm_owner" {
				t.Errorf("the database belongs to %s", got)
			}
			if got := scalar[int](t, super, "SELECT count(*) FROM pg_extension WHERE extname IN ('btree_gist','pgcrypto','pg_trgm','amcheck')"); got != 4 {
				t.Errorf("%d of 4 extensions", got)
			}
			if got := scalar[int64](t, super, "SELECT max(term) FROM practice_ops.cluster_term"); got != 1 {
				t.Errorf("the term is %d", got)
			}
			checkRights(t, c)
		})
	}
}

func checkRoles(t *testing.T, super *pgx.Conn) {
	rows, err := super.Query(t.Context(), `SELECT rolname, concat_ws(' ',
		CASE WHEN rolcanlogin THEN 'login' END, CASE WHEN rolsuper THEN 'super' END, CASE WHEN rolreplication THEN 'replication' END,
		CASE WHEN rolbypassrls THEN 'bypassrls' END, CASE WHEN NOT rolinherit THEN 'noinherit' END, CASE WHEN rolcreaterole OR rolcreatedb THEN 'create' END)
		FROM pg_authid WHERE rolname LIKE 'pm\_%' AND rolpassword IS NULL`)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	var name, attributes string
	if _, err := pgx.ForEachRow(rows, []any{&name, &attributes}, func() error { got[name] = attributes; return nil }); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"pm_owner": "", "pm_app": "", "pm_server": "login noinherit", "pm_migrate": "login bypassrls",
		"pm_backup": "login replication bypassrls", "pm_sealer": "login", "pm_auditor": "login"} {
		if a, ok := got[name]; !ok || a != want {
			t.Errorf("%s is %q (%v), want %q", name, a, ok, want)
		}
	}
}

// checkRights proves by doing: what each role may, and what it may not (SQLSTATE 42501).
func checkRights(t *testing.T, c *pgcluster.Cluster) {
	server := connect(t, c, pgcluster.RoleServer, "practice")
	migrate := connect(t, c, pgcluster.RoleMigrate, "practice")
	backup := connect(t, c, pgcluster.RoleBackup, "practice")
	execSQL(t, migrate, "SET ROLE pm_owner")
	execSQL(t, migrate, "CREATE SCHEMA pm CREATE TABLE secret (body text)")
	execSQL(t, migrate, "ALTER TABLE pm.secret ENABLE ROW LEVEL SECURITY; ALTER TABLE pm.secret FORCE ROW LEVEL SECURITY; RESET ROLE; INSERT INTO pm.secret VALUES ('x')")
	execSQL(t, server, "SET ROLE pm_app")
	execSQL(t, server, "SELECT term FROM practice_ops.cluster_term")
	if n := scalar[int](t, backup, "SELECT count(*) FROM pm.secret"); n != 1 {
		t.Errorf("the backup sees %d of 1 rows", n)
	}
	execSQL(t, backup, "INSERT INTO practice_ops.witness (token) VALUES ('a')")
	execSQL(t, backup, "SELECT pg_create_restore_point('p')")
	execSQL(t, backup, "SELECT pg_switch_wal()")
	execSQL(t, backup, "SELECT pg_backup_start('b', true)")
	execSQL(t, backup, "SELECT pg_backup_stop(false)")
	execSQL(t, backup, "SELECT current_setting('data_directory'), (pg_control_system()).system_identifier, (pg_control_checkpoint()).redo_lsn")
	for _, tc := range []struct {
		conn *pgx.Conn
		sql  string
	}{
		{server, "CREATE TABLE public.x ()"},
		{server, "SELECT * FROM pm.secret"},
		{server, "INSERT INTO practice_ops.cluster_term (term, node, reason) VALUES (9, '', '')"},
		{server, "SELECT pg_read_file('postgresql.conf')"},
		{server, "SET ROLE pm_owner"},
		{backup, "DELETE FROM practice_ops.witness"},
		{backup, "INSERT INTO pm.secret VALUES ('y')"},
		{backup, "CREATE TABLE public.x ()"},
		{migrate, "DROP TABLE practice_ops.witness"},
		{migrate, "SET ROLE practice_super"},
	} {
		_, err := tc.conn.Exec(t.Context(), tc.sql)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "42501" {
			t.Errorf("%s as %s: %v, want refusal", tc.sql, tc.conn.Config().User, err)
		}
	}
	for _, role := range []string{pgcluster.RoleServer, pgcluster.RoleBackup} {
		if _, err := c.Connect(t.Context(), role, "postgres"); err == nil {
			t.Errorf("%s may connect to the maintenance database", role)
		}
	}
	if _, err := c.Connect(t.Context(), "pm_owner", "practice"); uerr.KindOf(err) != uerr.Auth {
		t.Errorf("pm_owner: %v", err)
	}
	if _, err := c.Connect(t.Context(), pgcluster.RoleServer, "nowhere"); err == nil || !slices.Contains([]uerr.Kind{uerr.NotFound, uerr.Auth}, uerr.KindOf(err)) {
		t.Errorf("missing database: %v", err)
	}
}

func TestBootstrapRepairsWhatWasChanged(t *testing.T) {
	c := testenv.PG(t, 18, testenv.Bootstrapped)
	super := connect(t, c, pgcluster.Superuser, "practice")
	execSQL(t, super, `ALTER ROLE pm_server SUPERUSER INHERIT PASSWORD 'x'; ALTER DATABASE practice OWNER TO practice_super;
		GRANT CREATE ON SCHEMA public TO PUBLIC; GRANT CONNECT ON DATABASE practice TO PUBLIC; DROP EXTENSION pg_trgm;
		INSERT INTO practice_ops.cluster_term (term, node, reason) VALUES (7, 'b', 'promotion')`)
	if err := pgcluster.Bootstrap(t.Context(), c, pgcluster.BootstrapOptions{}); err != nil {
		t.Fatal(err)
	}
	checkRoles(t, super)
	if scalar[bool](t, super, "SELECT has_schema_privilege('pm_server', 'public', 'CREATE') OR has_database_privilege('pg_monitor', 'practice', 'CONNECT')") {
		t.Error("everybody may still create or connect")
	}
	if got := scalar[int64](t, super, "SELECT max(term) FROM practice_ops.cluster_term"); got != 7 {
		t.Errorf("the term fell to %d", got)
	}
}
