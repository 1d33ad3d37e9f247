package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"practicectl/internal/pgcluster"
	"practicectl/internal/secret"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
	"practicectl/server/problem"
	"practicectl/server/servertest"
	"practicectl/server/store"
)

func each(t *testing.T, f func(t *testing.T, p *servertest.Practice)) {
	t.Helper()
	for _, major := range testenv.PGMajors {
		t.Run(fmt.Sprintf("pg%d", major), func(t *testing.T) { f(t, servertest.Start(t, major)) })
	}
}

// names runs a query for one column of text as the superuser.
func names(t *testing.T, p *servertest.Practice, sql string) []string {
	t.Helper()
	rows, err := p.Connect(t, pgcluster.Superuser).Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheCatalogHoldsWhatThePoliciesPromise(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		if got := names(t, p, `SELECT n.nspname || '.' || relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
 WHERE relkind IN ('r', 'p') AND nspname IN ('pm', 'audit') AND NOT (relrowsecurity AND relforcerowsecurity)`); len(got) > 0 {
			t.Errorf("tables without forced row security: %v", got)
		}
		if got := names(t, p, `SELECT n.nspname || '.' || relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
 WHERE relkind IN ('r', 'p') AND nspname = 'sec' AND NOT relrowsecurity ORDER BY 1`); strings.Join(got, " ") != "sec.schema_floor sec.schema_version" {
			t.Errorf("security tables without row security: %v", got)
		}
		if got := names(t, p, `SELECT n.nspname || '.' || relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
 WHERE relkind IN ('v', 'm') AND nspname IN ('pm', 'audit', 'sec') AND NOT coalesce(reloptions @> '{security_invoker=on}', false)`); len(got) > 0 {
			t.Errorf("views that bypass row security: %v", got)
		}
		want := "audit: ; pm: number_invoice; sec: activate add_account can challenge change_password enter first_admin scope sign_in sign_out uid"
		got := map[string]string{}
		for _, f := range names(t, p, `SELECT n.nspname || ' ' || proname FROM pg_proc f JOIN pg_namespace n ON n.oid = pronamespace WHERE prosecdef AND nspname IN ('pm', 'audit', 'sec') ORDER BY 1`) {
			schema, name, _ := strings.Cut(f, " ")
			got[schema] = strings.TrimSpace(got[schema] + " " + name)
		}
		if s := fmt.Sprintf("audit: %s; pm: %s; sec: %s", got["audit"], got["pm"], got["sec"]); s != want {
			t.Errorf("functions with the owner's rights:\n got %s\nwant %s", s, want)
		}
		if got := names(t, p, `SELECT proname FROM pg_proc f JOIN pg_namespace n ON n.oid = pronamespace WHERE prosecdef AND nspname IN ('pm', 'audit', 'sec') AND NOT coalesce(proconfig @> ARRAY['search_path=""'], false)`); len(got) > 0 {
			t.Errorf("functions with the owner's rights and an open search path: %v", got)
		}
		if got := names(t, p, `SELECT table_schema || '.' || table_name || ' ' || privilege_type FROM information_schema.role_table_grants
 WHERE grantee IN ('pm_app', 'pm_server', 'PUBLIC') AND table_schema IN ('pm', 'audit', 'sec') AND privilege_type NOT IN ('SELECT', 'INSERT')
   AND NOT (privilege_type = 'UPDATE' AND table_name IN ('facility', 'room'))`); len(got) > 0 {
			t.Errorf("grants beyond the design: %v", got)
		}
		if got := names(t, p, `SELECT table_name::text FROM information_schema.column_privileges WHERE grantee IN ('pm_app', 'pm_server', 'PUBLIC') AND table_schema = 'sec'
 AND (table_name IN ('credential', 'session', 'pepper', 'ref_counter', 'login_attempt') OR privilege_type <> 'SELECT')`); len(got) > 0 {
			t.Errorf("the server can touch %v", got)
		}
		// Each table of patient data has a policy for SELECT and INSERT, and none of them is for every command at once.
		if got := names(t, p, `SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'pm' AND relkind = 'r'
 AND (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid AND polcmd IN ('r', 'a')) < 2`); len(got) > 0 {
			t.Errorf("tables without their own policies: %v", got)
		}
		if got := names(t, p, `SELECT polname::text FROM pg_policy WHERE polcmd = '*' OR NOT polpermissive`); len(got) > 0 {
			t.Errorf("policies for all commands: %v", got)
		}
		// A policy that calls a function for each row instead of once a statement is 25 times slower.
		if got := names(t, p, `SELECT polname::text FROM pg_policy WHERE regexp_replace(coalesce(pg_get_expr(polqual, polrelid), '') || coalesce(pg_get_expr(polwithcheck, polrelid), ''),
  'SELECT sec\.(can|scope|uid)', '', 'g') ~ 'sec\.(can|scope|uid)\('`); len(got) > 0 {
			t.Errorf("policies with unwrapped calls: %v", got)
		}
		for _, table := range names(t, p, `SELECT relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'pm' AND relkind = 'r' AND relname NOT IN ('document_chunk')
 AND NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = c.oid AND tgname = 'audited')`) {
			t.Errorf("changes of pm.%s are not audited", table)
		}
	})
}

func TestTheServerRefusesUnsafePlaces(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		open := func(role string) error {
			st, err := store.Open(t.Context(), store.Options{ConnString: p.DSN(role)})
			if err == nil {
				st.Close()
			}
			return err
		}
		for _, role := range []string{pgcluster.Superuser, pgcluster.RoleMigrate, pgcluster.RoleBackup} {
			if err := open(role); uerr.KindOf(err) != uerr.Precond || uerr.ExitCode(err) != 14 {
				t.Errorf("as %s: %v", role, err)
			}
		}
		if err := open(pgcluster.RoleServer); err != nil {
			t.Fatal(err)
		}
		owner := func(sql string) { p.Exec(t, "DO $do$ BEGIN SET LOCAL ROLE pm_owner; "+sql+"; END $do$") }
		owner(`ALTER TABLE pm.patient NO FORCE ROW LEVEL SECURITY`)
		if err := open(pgcluster.RoleServer); uerr.KindOf(err) != uerr.Precond || !strings.Contains(err.Error(), "pm.patient") {
			t.Errorf("without forced row security: %v", err)
		}
		owner(`ALTER TABLE pm.patient FORCE ROW LEVEL SECURITY`)

		known := store.Known()
		for _, c := range []struct {
			name            string
			applied, oldest int64
			runs            bool
		}{
			{"newer", known + 1, known + 1, false},
			{"newer but compatible", known + 1, known, true},
			{"older", known - 1, known - 1, false},
			{"same", known, known, true},
		} {
			owner(fmt.Sprintf(`DELETE FROM sec.schema_version WHERE version_id >= %d; INSERT INTO sec.schema_version (version_id, is_applied) VALUES (%d, true); UPDATE sec.schema_floor SET oldest = %d`,
				known, c.applied, c.oldest))
			err := open(pgcluster.RoleServer)
			if c.runs != (err == nil) || !c.runs && (uerr.KindOf(err) != uerr.Precond || uerr.HintOf(err) == "") {
				t.Errorf("%s schema: %v", c.name, err)
			}
			if _, err := store.Migrate(t.Context(), p.DSN(pgcluster.RoleMigrate), slog.New(slog.DiscardHandler)); c.name == "newer" && uerr.KindOf(err) != uerr.Precond || c.runs && err != nil {
				t.Errorf("migrating a %s schema: %v", c.name, err)
			}
			if c.name == "older" {
				break // a half-removed schema cannot be repaired by the test
			}
		}
	})
}

func TestIdentityNeverStaysOnAConnection(t *testing.T) {
	p := servertest.Start(t, testenv.PGMajors[0])
	anna := p.Person(t, "member")
	p.Patient(t, anna, "Leck", "L")
	st, err := store.Open(t.Context(), store.Options{ConnString: p.DSN(pgcluster.RoleServer), MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	count := func(who store.Session) (n int, err error) {
		err = st.WithTx(t.Context(), who, func(tx *store.Tx) error { return tx.QueryRow(t.Context(), `SELECT count(*) FROM pm.patient`).Scan(&n) })
		return n, err
	}
	const workers, rounds = 8, 250
	var wg sync.WaitGroup
	for w := range workers {
		rng := rand.New(rand.NewPCG(uint64(w), 7))
		wg.Go(func() {
			for range rounds {
				trouble(t, st, anna.Session, rng.IntN(6))
				if n, err := count(store.Session{}); err != nil || n != 0 {
					t.Errorf("nobody sees %d patients, %v", n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n, err := count(anna.Session); err != nil || n != 1 {
		t.Errorf("the owner sees %d patients, %v", n, err)
	}
}

// trouble ends a transaction of who in one of the ways in which handlers end.
func trouble(t *testing.T, st *store.Store, who store.Session, kind int) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	defer func() { _ = recover() }()
	_ = st.WithTx(ctx, who, func(tx *store.Tx) error {
		var n int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM pm.patient`).Scan(&n); err != nil {
			return err
		}
		switch kind {
		case 0:
			panic("handler")
		case 1:
			return errors.New("handler")
		case 2:
			_, err := tx.Exec(ctx, `SELECT 1 / 0`)
			return err
		case 3:
			cancel()
			return ctx.Err()
		case 4:
			_, err := tx.Exec(ctx, `SELECT set_config('pm.token', $1, false)`, who.Token.Reveal()) // a session-wide setting: the worst mistake
			return err
		}
		_, err := tx.Exec(ctx, `COMMIT`)
		return err
	})
}

func TestTransactionsBelongToTheStore(t *testing.T) {
	p := servertest.Start(t, testenv.PGMajors[0])
	err := p.Store.WithTx(t.Context(), store.Session{Token: secret.New(strings.Repeat("ab", 32))}, func(tx *store.Tx) error {
		if tx.Commit(t.Context()) == nil || tx.Rollback(t.Context()) == nil || tx.Conn() != nil {
			t.Error("domain code can end the transaction")
		}
		if _, err := tx.CopyFrom(t.Context(), pgx.Identifier{"pm", "patient"}, nil, nil); err == nil {
			t.Error("domain code can COPY, which does not ask row security")
		}
		var who *string
		return tx.QueryRow(t.Context(), `SELECT sec.uid()::text`).Scan(&who)
	})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Store.WithTx(t.Context(), store.Session{}, func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), `SELECT 1 / 0`)
		_ = err // swallowed by a careless handler
		return nil
	})
	if !problem.Is(err, problem.Conflict) {
		t.Errorf("a failed transaction reported success: %v", err)
	}
}
