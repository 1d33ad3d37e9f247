package server_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
	"practicectl/server/servertest"
)

// TestP23_ADumpWithTheServersRoleFailsLoudly: who copies the practice by hand with the server's own role must not get half of it
// without a word. Only the roles that are made for it see every row.
func TestP23_ADumpWithTheServersRoleFailsLoudly(t *testing.T) {
	for _, major := range testenv.PGMajors {
		t.Run(fmt.Sprintf("pg%d", major), func(t *testing.T) {
			p := servertest.Start(t, major)
			for range 2 {
				p.Patient(t, p.Person(t, "therapist"), "Kanarienvogel", "Ida")
			}
			tables := protected(t, p)
			if len(tables) < 10 {
				t.Fatalf("only %v have row security", tables)
			}
			backup, server := p.Connect(t, pgcluster.RoleBackup), p.Connect(t, pgcluster.RoleServer)
			for _, one := range []string{`SET row_security = off`, `SET ROLE pm_app`} {
				if _, err := server.Exec(t.Context(), one); err != nil {
					t.Fatal(err)
				}
			}
			for _, table := range tables {
				query := `COPY (SELECT * FROM ` + table + `) TO STDOUT`
				if _, err := server.Exec(t.Context(), query); err == nil || !strings.Contains(err.Error(), "row-level security") && !strings.Contains(err.Error(), "permission denied") {
					t.Errorf("%s as the application: %v", table, err)
				}
				if _, err := backup.Exec(t.Context(), `SET row_security = off; `+query); err != nil {
					t.Errorf("%s as the role for backups: %v", table, err)
				}
			}
			var seen int
			if err := backup.QueryRow(t.Context(), `SELECT count(*) FROM pm.patient`).Scan(&seen); err != nil || seen != 2 {
				t.Errorf("the role for backups sees %d of 2 patients: %v", seen, err)
			}
		})
	}
}

// protected lists the tables that have row security.
func protected(t *testing.T, p *servertest.Practice) (tables []string) {
	t.Helper()
	rows, err := p.Connect(t, pgcluster.RoleMigrate).Query(t.Context(), `SELECT oid::regclass::text FROM pg_class WHERE relrowsecurity AND relkind = 'r' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, name)
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return tables
}

// TestP23_PgDumpSaysSo does the same with PostgreSQL's own program.
func TestP23_PgDumpSaysSo(t *testing.T) {
	p := servertest.Start(t, 15) // the bundle has no pg_dump
	p.Patient(t, p.Person(t, "therapist"), "Kanarienvogel", "Ida")
	dump := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), filepath.Join(p.Cluster.Bin.Dir, "pg_dump"), args...).CombinedOutput()
		return string(out), err
	}
	said, err := dump("--data-only", "--table=pm.session", "--role=pm_app", p.DSN(pgcluster.RoleServer))
	if err == nil || !strings.Contains(said, "row-level security") || strings.Contains(said, "Kanarienvogel") {
		t.Errorf("with the server's role: %v\n%s", err, said)
	}
	said, err = dump("--data-only", "--schema=pm", p.DSN(pgcluster.RoleBackup))
	if err != nil || !strings.Contains(said, "Kanarienvogel") {
		t.Errorf("with the role for backups: %v\n%s", err, said)
	}
}
