package server_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
	"practicectl/server/authz"
	"practicectl/server/servertest"
	"practicectl/server/store"
)

// world is a random practice as plain Go values: what the oracle decides from.
type world struct {
	people   []person
	patients []patient
}

type person struct {
	caller  *authz.Caller
	roles   []string
	modules []string
	grants  map[string]bool // "charting.note view"
}

type patient struct {
	id       uuid.UUID
	owner    int
	everyone bool
	shared   []int
	session  uuid.UUID
	by       int // who wrote session, note and invoice
	invoice  uuid.UUID
}

// reach is what the built-in roles reach, written down a second time and independently of the migrations.
func reach(role, feature string) authz.Scope {
	switch role {
	case "group_admin":
		return authz.ScopeAll
	case "member":
		return authz.ScopeOwnOrShared
	case "secretariat":
		if feature == authz.Notes {
			return authz.ScopeNone
		}
		return authz.ScopeAll
	case "scheduler":
		if feature == authz.Patients {
			return authz.ScopeAll
		}
	}
	return authz.ScopeNone
}

// allow is the oracle: may person i do action of feature with patient j's record?
func (w *world) allow(i int, feature, action string, j int) bool {
	who, p := w.people[i], w.patients[j]
	if slices.Contains(who.roles, "group_admin") {
		return true
	}
	module := map[string]string{authz.Notes: "clinical", authz.Invoices: "accounting"}[feature]
	if module != "" && !slices.Contains(who.modules, module) || !who.grants[feature+" "+action] {
		return false
	}
	scope := authz.ScopeNone
	for _, r := range who.roles {
		switch s := reach(r, feature); {
		case s == authz.ScopeAll:
			scope = s
		case s == authz.ScopeOwnOrShared && scope == authz.ScopeNone:
			scope = s
		}
	}
	if scope == authz.ScopeNone {
		return false
	}
	mine := p.owner == i || p.everyone || slices.Contains(p.shared, i)
	if feature == authz.Patients {
		return scope == authz.ScopeAll || mine
	}
	// A session, note or invoice is its writer's, and everybody's who may see the patient as theirs.
	return scope == authz.ScopeAll || p.by == i || mine && w.allow(i, authz.Patients, "view", j)
}

type question struct{ feature, table, key, edit string }

// tables are the questions put to raw SQL; each changes nothing that the next one sees.
var tables = []question{
	{authz.Patients, "pm.patient", "id", "remark = 'x'"},
	{authz.Sessions, "pm.session", "id", "code = 'x'"},
	{authz.Notes, "pm.session_note", "session_id", "head = head"},
	{authz.Invoices, "pm.invoice", "id", "remark = 'x'"},
}

// draw makes up a practice.
func draw(rt *rapid.T) *world {
	w := &world{}
	roles := []string{"member", "secretariat", "scheduler", "group_admin"}
	for range rapid.IntRange(2, 5).Draw(rt, "people") {
		one := person{roles: rapid.SliceOfNDistinct(rapid.SampledFrom(roles[:3]), 1, 2, rapid.ID[string]).Draw(rt, "roles"), grants: map[string]bool{}}
		if rapid.IntRange(0, 9).Draw(rt, "admin") == 0 {
			one.roles = append(one.roles, "group_admin")
		}
		for _, m := range []string{"clinical", "accounting"} {
			if rapid.IntRange(0, 3).Draw(rt, m) > 0 {
				one.modules = append(one.modules, m)
			}
		}
		for _, q := range tables {
			for _, a := range []string{"view", "edit"} {
				if rapid.IntRange(0, 4).Draw(rt, q.feature+a) > 0 {
					one.grants[q.feature+" "+a] = true
				}
			}
		}
		w.people = append(w.people, one)
	}
	n := len(w.people)
	for range rapid.IntRange(2, 6).Draw(rt, "patients") {
		v := patient{owner: rapid.IntRange(0, n-1).Draw(rt, "owner"), by: rapid.IntRange(0, n-1).Draw(rt, "by"),
			everyone: rapid.IntRange(0, 5).Draw(rt, "everyone") == 0}
		for i := range n {
			if rapid.IntRange(0, 3).Draw(rt, "share") == 0 {
				v.shared = append(v.shared, i)
			}
		}
		w.patients = append(w.patients, v)
	}
	return w
}

// build writes the world into the database as maintenance, past all policies.
func (w *world) build(t *testing.T, p *servertest.Practice, maintenance *pgx.Conn) {
	b := &pgx.Batch{}
	for i := range w.people {
		one := &w.people[i]
		one.caller = p.QueuePerson(t, b, one.roles[0])
		id, group := one.caller.Account.ID, "w"+uuid.NewString()
		b.Queue(`DELETE FROM sec.account_module WHERE account_id = $1`, id)
		b.Queue(`DELETE FROM sec.account_group WHERE account_id = $1`, id)
		b.Queue(`INSERT INTO sec.account_role SELECT $1, r FROM unnest($2::text[]) r ON CONFLICT DO NOTHING`, id, one.roles)
		b.Queue(`INSERT INTO sec.account_module SELECT $1, m FROM unnest($2::text[]) m`, id, one.modules)
		b.Queue(`INSERT INTO sec.security_group VALUES ($1, false)`, group)
		b.Queue(`INSERT INTO sec.account_group VALUES ($1, $2)`, id, group)
		for _, q := range tables {
			for _, a := range []string{"view", "edit"} {
				if one.grants[q.feature+" "+a] {
					b.Queue(`INSERT INTO sec.group_perm VALUES ($1, $2, $3)`, group, q.feature, a)
				}
			}
		}
	}
	id := func(i int) uuid.UUID { return w.people[i].caller.Account.ID }
	for j := range w.patients {
		w.patients[j].id, w.patients[j].session, w.patients[j].invoice = store.NewID(), store.NewID(), store.NewID()
		v := w.patients[j]
		b.Queue(`INSERT INTO pm.patient (id, family_name, owner_id) VALUES ($1, 'x', $2)`, v.id, id(v.owner))
		b.Queue(`INSERT INTO pm.session (id, patient_id, practitioner_id, held_at, owner_id) VALUES ($1, $2, $3, now(), $3)`, v.session, v.id, id(v.by))
		b.Queue(`INSERT INTO pm.session_note (session_id, patient_id, owner_id) VALUES ($1, $2, $3)`, v.session, v.id, id(v.by))
		b.Queue(`INSERT INTO pm.invoice (id, patient_id, issued_on, due_on, currency, total_minor, owner_id) VALUES ($1, $2, '2026-01-01', '2026-01-01', 'EUR', 0, $3)`, v.invoice, v.id, id(v.by))
		if v.everyone {
			b.Queue(`INSERT INTO pm.record_share (id, kind, record_id, grantee, by) VALUES (gen_random_uuid(), 'patient', $1, NULL, $2)`, v.id, id(v.owner))
		}
		for _, i := range v.shared {
			b.Queue(`INSERT INTO pm.record_share (id, kind, record_id, grantee, by) VALUES (gen_random_uuid(), 'patient', $1, $2, $3) ON CONFLICT DO NOTHING`, v.id, id(i), id(v.owner))
		}
	}
	if err := maintenance.SendBatch(t.Context(), b).Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOracleAgreesWithTheDatabase(t *testing.T) {
	for _, major := range testenv.PGMajors {
		t.Run(fmt.Sprintf("pg%d", major), func(t *testing.T) {
			p := servertest.Start(t, major)
			maintenance, server := p.Connect(t, pgcluster.RoleMigrate), p.Connect(t, pgcluster.RoleServer)
			asked := 0
			rapid.Check(t, func(rt *rapid.T) {
				w := draw(rt)
				w.build(t, p, maintenance)
				n, wrong := w.compare(t, server)
				if asked += n; len(wrong) > 0 {
					rt.Fatal(wrong[0])
				}
			})
			if asked < 2000 {
				t.Errorf("only %d questions were asked", asked)
			}
		})
	}
}

// compare puts every question of the world to raw SQL and returns how many there were and which answers were wrong.
func (w *world) compare(t *testing.T, server *pgx.Conn) (asked int, wrong []string) {
	t.Helper()
	for i, one := range w.people {
		tx, err := server.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `SET LOCAL ROLE pm_app`); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `SELECT set_config('pm.token', $1, true)`, one.caller.Token.Reveal()); err != nil {
			t.Fatal(err)
		}
		for _, q := range tables {
			for _, action := range []string{"view", "edit"} {
				point, err := tx.Begin(t.Context()) // a savepoint: a question may fail
				if err != nil {
					t.Fatal(err)
				}
				n, bad := w.ask(t, point, i, q, action)
				asked, wrong = asked+n, append(wrong, bad...)
				if err := point.Rollback(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := tx.Rollback(t.Context()); err != nil { // leaves nothing behind
			t.Fatal(err)
		}
	}
	return asked, wrong
}

// ask compares what person i sees or changes of one table with the oracle.
func (w *world) ask(t *testing.T, tx pgx.Tx, i int, q question, action string) (asked int, wrong []string) {
	t.Helper()
	keys := make([]uuid.UUID, len(w.patients))
	for j, v := range w.patients {
		keys[j] = map[string]uuid.UUID{authz.Patients: v.id, authz.Sessions: v.session, authz.Notes: v.session, authz.Invoices: v.invoice}[q.feature]
	}
	sql := fmt.Sprintf("SELECT %[1]s FROM %[2]s WHERE %[1]s = ANY ($1)", q.key, q.table)
	if action == "edit" {
		sql = fmt.Sprintf("UPDATE %s SET %s WHERE %s = ANY ($1) RETURNING %s", q.table, q.edit, q.key, q.key)
	}
	rows, err := tx.Query(t.Context(), sql, keys)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return 1, []string{fmt.Sprintf("%s %s fails: %v", action, q.feature, err)}
	}
	for j := range w.patients {
		want := w.allow(i, q.feature, "view", j) && (action == "view" || w.allow(i, q.feature, "edit", j))
		if slices.Contains(got, keys[j]) != want {
			wrong = append(wrong, fmt.Sprintf("%s %s: SQL says %v, the oracle %v; person %+v, patient %+v", action, q.feature, !want, want, w.people[i], w.patients[j]))
		}
	}
	return len(w.patients), wrong
}

// TestEachPolicyMatters loosens and tightens every policy that the oracle looks at: each time it has to notice.
func TestEachPolicyMatters(t *testing.T) {
	p := servertest.Start(t, testenv.PGMajors[0])
	maintenance, server, super := p.Connect(t, pgcluster.RoleMigrate), p.Connect(t, pgcluster.RoleServer), p.Connect(t, pgcluster.Superuser)
	// Each world holds all its people's groups, so they are built and asked one after the other.
	worlds := rapid.SliceOfN(rapid.Custom(draw), 12, 12).Example(7)
	wrong := func() (n int) {
		for _, w := range worlds {
			w.build(t, p, maintenance)
			_, bad := w.compare(t, server)
			if n += len(bad); n > 0 {
				return n
			}
		}
		return n
	}
	if n := wrong(); n != 0 {
		t.Fatalf("%d wrong answers before any change", n)
	}
	for _, q := range tables {
		rows, err := super.Query(t.Context(), `SELECT polname::text, pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = $1::text::regclass AND polcmd IN ('r', 'w') ORDER BY 1`, q.table)
		if err != nil {
			t.Fatal(err)
		}
		policies, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Name, Expr string }])
		if err != nil {
			t.Fatal(err)
		}
		for _, policy := range policies {
			for _, mutant := range []string{"true", "false"} {
				alter := func(expr string) {
					if _, err := super.Exec(t.Context(), fmt.Sprintf("ALTER POLICY %s ON %s USING (%s)", policy.Name, q.table, expr)); err != nil {
						t.Fatal(err)
					}
				}
				alter(mutant)
				if wrong() == 0 {
					t.Errorf("nobody notices that %s is USING (%s)", policy.Name, mutant)
				}
				alter(policy.Expr)
			}
		}
	}
}
