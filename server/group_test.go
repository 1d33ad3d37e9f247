package server_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/charting"
	"practicectl/server/problem"
	"practicectl/server/records"
	"practicectl/server/servertest"
	"practicectl/server/store"
)

func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// seen counts the rows of a table that a caller's raw SQL sees.
func seen(t *testing.T, p *servertest.Practice, who *authz.Caller, table string) (n int) {
	t.Helper()
	if err := p.SQL(t, who, false, func(tx pgx.Tx) error { return tx.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n) }); err != nil {
		t.Fatalf("%s: %v", table, err)
	}
	return n
}

func TestP3_MembersSeeTheirOwnOnly(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		anna, bela := p.Person(t, "member"), p.Person(t, "member")
		pat := p.Patient(t, anna, "Eigen", "Art")
		s := p.Session(t, anna, pat)
		p.Note(t, anna, s, "geheim")
		if _, err := p.Records.Get(t.Context(), bela, pat.ID); !problem.Is(err, problem.NotFound) {
			t.Errorf("foreign patient: %v", err)
		}
		if _, err := p.Charting.Get(t.Context(), bela, s.ID); !problem.Is(err, problem.NotFound) {
			t.Errorf("foreign session: %v", err)
		}
		if _, err := p.Charting.Note(t.Context(), bela, s.ID); !problem.Is(err, problem.NotFound) {
			t.Errorf("foreign note: %v", err)
		}
		pat.Remark = "überschrieben"
		if _, err := p.Records.Update(t.Context(), bela, pat); !problem.Is(err, problem.NotFound) {
			t.Errorf("foreign update: %v", err)
		}
		for _, table := range []string{"pm.patient", "pm.session", "pm.session_note", "pm.note_version", "pm.appointment", "pm.invoice", "pm.document", "pm.record_share", "audit.entry"} {
			if n := seen(t, p, bela, table); n != 0 {
				t.Errorf("raw SQL of a stranger sees %d rows of %s", n, table)
			}
			if n := seen(t, p, nil, table); n != 0 {
				t.Errorf("raw SQL of nobody sees %d rows of %s", n, table)
			}
		}
		// A statement that reads no column must not slip past the policies.
		for _, sql := range []string{`UPDATE pm.patient SET remark = 'x'`, `UPDATE pm.session SET price_minor = 0`, `UPDATE pm.session_note SET status = 'draft'`, `UPDATE pm.invoice SET remark = 'x'`} {
			if err := p.SQL(t, bela, false, func(tx pgx.Tx) error {
				tag, err := tx.Exec(t.Context(), sql)
				if tag.RowsAffected() != 0 {
					t.Errorf("%s changed %d foreign rows", sql, tag.RowsAffected())
				}
				return err
			}); err != nil {
				t.Errorf("%s: %v", sql, err)
			}
		}
		// A child of somebody else's patient is refused like a child of nobody's.
		for name, parent := range map[string]uuid.UUID{"foreign": pat.ID, "unknown": store.NewID()} {
			err := p.SQL(t, bela, false, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), `INSERT INTO pm.session (id, patient_id, practitioner_id, held_at, owner_id) VALUES ($1, $2, $3, now(), $3)`, store.NewID(), parent, bela.Account.ID)
				return err
			})
			if sqlState(err) != "42501" {
				t.Errorf("session of a %s patient: %v", name, err)
			}
		}
	})
}

func TestP4_P5_SecretariatKeepsMasterDataAndFinance(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		ctx := t.Context()
		anna, sec := p.Person(t, "member"), p.Person(t, "secretariat")
		pat := p.Patient(t, anna, "Stamm", "Daten")
		got := ok[api.Patient](t)(p.Records.Get(ctx, sec, pat.ID))
		got.Phone = "0664 1"
		ok[api.Patient](t)(p.Records.Update(ctx, sec, got))
		inv := ok[api.Invoice](t)(p.Finance.Create(ctx, anna, api.NewInvoice{PatientID: pat.ID, IssuedOn: "2026-01-10", DueOn: "2026-01-24", Currency: "EUR",
			Lines: []api.NewCharge{{PerformedOn: "2026-01-02", Description: "Sitzung", Quantity: 1, UnitMinor: 9000}}}))
		ok[api.Invoice](t)(p.Finance.Get(ctx, sec, inv.ID))
		own := ok[api.Patient](t)(p.Records.Create(ctx, sec, api.Patient{FamilyName: "Neu"}))
		if own.OwnerID != sec.Account.ID {
			t.Error("the profile is not owned by the secretariat")
		}
	})
}

func TestP6_SecretariatAddsNoSessions(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		sec := p.Person(t, "secretariat")
		pat := p.Patient(t, sec, "Ohne", "Sitzung")
		_, err := p.Charting.Create(t.Context(), sec, api.Session{PatientID: pat.ID, HeldAt: time.Now(), Status: "held"})
		want(t, err, problem.Forbidden)
		err = p.SQL(t, sec, false, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO pm.session (id, patient_id, practitioner_id, held_at, owner_id) VALUES ($1, $2, $3, now(), $3)`, store.NewID(), pat.ID, sec.Account.ID)
			return err
		})
		if sqlState(err) != "42501" {
			t.Errorf("raw SQL: %v", err)
		}
	})
}

func TestP7_SecretariatSeesNoNotes(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		const canary = "Kanarienprotokoll"
		anna, sec := p.Person(t, "member"), p.Person(t, "secretariat")
		pat := p.Patient(t, anna, "Proto", "Koll")
		s := p.Session(t, anna, pat)
		p.Note(t, anna, s, canary)
		ok[api.Session](t)(p.Charting.Get(t.Context(), sec, s.ID))
		_, err := p.Charting.Note(t.Context(), sec, s.ID)
		want(t, err, problem.Forbidden)
		_, err = p.Charting.History(t.Context(), sec, s.ID)
		want(t, err, problem.Forbidden)
		_, err = p.Charting.SaveNote(t.Context(), sec, s.ID, api.NoteSave{Op: store.NewID(), Body: "x"})
		want(t, err, problem.Forbidden)
		for _, table := range []string{"pm.session_note", "pm.note_version"} {
			if n := seen(t, p, sec, table); n != 0 {
				t.Errorf("raw SQL sees %d rows of %s", n, table)
			}
		}
		if n := p.Count(t, `SELECT count(*) FROM audit.entry e WHERE to_jsonb(e)::text LIKE '%' || $1 || '%'`, canary); n != 0 {
			t.Errorf("the audit log holds the note's text %d times", n)
		}
		if n := p.Count(t, `SELECT count(*) FROM audit.entry WHERE feature = 'charting.note' AND outcome = 'denied' AND actor = $1`, sec.Account.ID); n != 3 {
			t.Errorf("%d of 3 denials are on record", n)
		}
		// Whoever is member and secretariat at once sees all sessions, and still only their own notes.
		both := p.Person(t, "secretariat")
		p.Exec(t, `INSERT INTO sec.account_role VALUES ($1, 'member')`, both.Account.ID)
		p.Exec(t, `INSERT INTO sec.account_group VALUES ($1, 'member')`, both.Account.ID)
		p.Exec(t, `INSERT INTO sec.account_module VALUES ($1, 'clinical')`, both.Account.ID)
		both = p.Enter(t, both.Token)
		ok[api.Session](t)(p.Charting.Get(t.Context(), both, s.ID))
		if n := ok[api.Note](t)(p.Charting.Note(t.Context(), both, s.ID)); n.Body != "" {
			t.Error("the widest scope of sessions opened a foreign note")
		}
		if n := seen(t, p, both, "pm.note_version"); n != 0 {
			t.Errorf("raw SQL sees %d foreign notes", n)
		}
		_, err = p.Charting.SaveNote(t.Context(), both, s.ID, api.NoteSave{Op: store.NewID(), Body: "x"})
		if err == nil {
			t.Error("a foreign note was written")
		}
	})
}

func TestP8_SecretariatChangesSessionMetadata(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		anna, sec := p.Person(t, "member"), p.Person(t, "secretariat")
		s := p.Session(t, anna, p.Patient(t, anna, "Meta", "Daten"))
		s.PriceMinor, s.DurationMin, s.Status = 9500, 60, "missed"
		ok[api.Session](t)(p.Charting.Update(t.Context(), sec, s))
		if n := p.Count(t, `SELECT count(*) FROM audit.entry WHERE object_id = $1 AND action = 'U' AND actor = $2
  AND old_values ->> 'price_minor' = '11000' AND new_values ->> 'price_minor' = '9500' AND fields @> '{status,duration_min}'`, s.ID, sec.Account.ID); n != 1 {
			t.Errorf("the change is on record %d times", n)
		}
	})
}

func TestP2_AdministratorsSeeEverythingAndCannotAlterTheLog(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		anna, admin := p.Person(t, "member"), p.Person(t, "group_admin")
		pat := p.Patient(t, anna, "Alles", "Offen")
		s := p.Session(t, anna, pat)
		p.Note(t, anna, s, "lesbar")
		if n := ok[api.Note](t)(p.Charting.Note(t.Context(), admin, s.ID)); n.Body != "lesbar" {
			t.Error("the administrator cannot read a note")
		}
		if seen(t, p, admin, "audit.entry") == 0 {
			t.Error("the administrator cannot read the log")
		}
		if err := p.Records.Share(t.Context(), admin, pat.ID, api.ShareRequest{Everyone: true}); err != nil {
			t.Fatal(err)
		}
		for _, sql := range []string{`UPDATE audit.entry SET actor = NULL`, `DELETE FROM audit.entry`, `TRUNCATE audit.entry`, `DELETE FROM pm.record_share`,
			`UPDATE pm.record_share SET grantee = NULL`, `UPDATE pm.note_version SET body = ''`, `DELETE FROM pm.note_version`, `DELETE FROM pm.patient`,
			`UPDATE pm.patient SET owner_id = owner_id`, `INSERT INTO audit.entry (actor, feature, action, object_kind) VALUES (NULL, 'x', 'R', 'x')`,
			`SELECT * FROM sec.credential`, `SELECT * FROM sec.session`, `UPDATE sec.account SET state = 'active'`, `INSERT INTO sec.account_role SELECT id, 'owner' FROM sec.account`} {
			err := p.SQL(t, admin, false, func(tx pgx.Tx) error { _, err := tx.Exec(t.Context(), sql); return err })
			if sqlState(err) != "42501" {
				t.Errorf("%s: %v", sql, err)
			}
		}
		// Not even the tables' owner can.
		for _, sql := range []string{`UPDATE audit.entry SET actor = NULL`, `DELETE FROM audit.entry`, `TRUNCATE audit.entry`, `DELETE FROM pm.record_share`, `TRUNCATE pm.note_version`,
			`UPDATE pm.note_version SET body = ''`} {
			c := p.Connect(t, "pm_migrate")
			if _, err := c.Exec(t.Context(), sql); sqlState(err) != "55000" && sqlState(err) != "42501" {
				t.Errorf("as owner: %s: %v", sql, err)
			}
		}
	})
}

func TestP11_P12_P13_P15_Sharing(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		ctx := t.Context()
		anna, bela, cora := p.Person(t, "member"), p.Person(t, "member"), p.Person(t, "member")
		sec, admin := p.Person(t, "secretariat"), p.Person(t, "group_admin")
		pat := p.Patient(t, anna, "Geteilt", "Teil")
		s := p.Session(t, anna, pat)
		p.Note(t, anna, s, "gemeinsam")
		for who, visible := range map[*authz.Caller]bool{anna: true, sec: true, admin: true, bela: false, cora: false} {
			if _, err := p.Records.Get(ctx, who, pat.ID); (err == nil) != visible || err != nil && !problem.Is(err, problem.NotFound) {
				t.Errorf("right after creation %s: %v", who.Account.Login, err)
			}
		}
		want(t, p.Records.Share(ctx, bela, pat.ID, api.ShareRequest{Accounts: []uuid.UUID{bela.Account.ID}}), problem.NotFound)
		want(t, p.Records.Share(ctx, sec, pat.ID, api.ShareRequest{Accounts: []uuid.UUID{bela.Account.ID}}), problem.Forbidden)
		for range 2 { // again is no mistake
			if err := p.Records.Share(ctx, anna, pat.ID, api.ShareRequest{Accounts: []uuid.UUID{bela.Account.ID}}); err != nil {
				t.Fatal(err)
			}
		}
		if n := ok[api.Note](t)(p.Charting.Note(ctx, bela, s.ID)); n.Body != "gemeinsam" {
			t.Error("sharing a profile does not show its notes")
		}
		want(t, p.Records.Share(ctx, bela, pat.ID, api.ShareRequest{Accounts: []uuid.UUID{cora.Account.ID}}), problem.Forbidden)
		for _, who := range []*authz.Caller{bela, sec, cora} {
			err := p.SQL(t, who, true, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, `INSERT INTO pm.record_share (id, kind, record_id, grantee, by) VALUES (gen_random_uuid(), 'patient', $1, $2, $3)`, pat.ID, cora.Account.ID, who.Account.ID)
				return err
			})
			if sqlState(err) != "42501" {
				t.Errorf("raw SQL shares for %s: %v", who.Account.Login, err)
			}
		}
		if _, err := p.Records.Get(ctx, cora, pat.ID); !problem.Is(err, problem.NotFound) {
			t.Errorf("somebody it was not shared with: %v", err)
		}

		// Ticking every name is not the same as everyone.
		named := p.Patient(t, anna, "Namentlich", "N")
		everyone := p.Patient(t, anna, "Alle", "A")
		if err := p.Records.Share(ctx, anna, named.ID, api.ShareRequest{Accounts: []uuid.UUID{bela.Account.ID, cora.Account.ID, admin.Account.ID, sec.Account.ID}}); err != nil {
			t.Fatal(err)
		}
		if err := p.Records.Share(ctx, anna, everyone.ID, api.ShareRequest{Everyone: true}); err != nil {
			t.Fatal(err)
		}
		later := p.Person(t, "member")
		if _, err := p.Records.Get(ctx, later, named.ID); !problem.Is(err, problem.NotFound) {
			t.Errorf("a later member sees what was shared by name: %v", err)
		}
		ok[api.Patient](t)(p.Records.Get(ctx, later, everyone.ID))
		if page := ok[api.Page[api.Patient]](t)(p.Records.Search(ctx, later, records.Query{})); page.Total != 1 {
			t.Errorf("a later member's list has %d patients", page.Total)
		}
		if shares := ok[[]api.Share](t)(p.Records.Shares(ctx, anna, pat.ID)); len(shares) != 1 || shares[0].GranteeName == "" {
			t.Errorf("shares: %+v", shares)
		}
	})
}

func TestT10_WithoutTheModuleThereIsNothing(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		anna := p.Person(t, "member")
		pat := p.Patient(t, anna, "Modul", "M")
		s := p.Session(t, anna, pat)
		p.Note(t, anna, s, "x")
		p.Exec(t, `DELETE FROM sec.account_module WHERE account_id = $1 AND module = 'clinical'`, anna.Account.ID)
		if n := seen(t, p, anna, "pm.note_version"); n != 0 { // the next statement of a live session, without signing in again
			t.Errorf("raw SQL still sees %d notes", n)
		}
		now := p.Enter(t, anna.Token)
		if now.HasModule("clinical") {
			t.Error("the module is still there")
		}
		_, err := p.Charting.Note(t.Context(), now, s.ID)
		want(t, err, problem.Forbidden)
	})
}

func TestT12_T13_GroupsGrantExactlyTheirCells(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		owner := p.Person(t, "member")
		pat := p.Patient(t, owner, "Zelle", "Z")
		who := p.Person(t, "member")
		if err := p.Records.Share(t.Context(), owner, pat.ID, api.ShareRequest{Everyone: true}); err != nil {
			t.Fatal(err)
		}
		p.Exec(t, `DELETE FROM sec.account_group WHERE account_id = $1`, who.Account.ID)
		p.Exec(t, `INSERT INTO sec.security_group VALUES ('probe', false)`)
		p.Exec(t, `INSERT INTO sec.account_group VALUES ($1, 'probe')`, who.Account.ID)
		// see: which rows; add: a new row; edit: every visible row.
		cells := map[string]struct{ see, add, edit string }{
			authz.Patients: {`SELECT count(*) FROM pm.patient`, `INSERT INTO pm.patient (id, family_name, owner_id) VALUES (gen_random_uuid(), 'x', $1)`, `UPDATE pm.patient SET remark = 'x'`},
			authz.Sessions: {`SELECT count(*) FROM pm.session`, `INSERT INTO pm.session (id, patient_id, practitioner_id, held_at, owner_id) SELECT gen_random_uuid(), id, $1, now(), $1 FROM pm.patient`, `UPDATE pm.session SET code = 'x'`},
			authz.Invoices: {`SELECT count(*) FROM pm.invoice`, `INSERT INTO pm.invoice (id, patient_id, issued_on, due_on, currency, total_minor, owner_id) SELECT gen_random_uuid(), id, now(), now(), 'EUR', 0, $1 FROM pm.patient`, `UPDATE pm.invoice SET remark = 'x'`},
		}
		p.Session(t, owner, pat)
		ok[api.Invoice](t)(p.Finance.Create(t.Context(), owner, api.NewInvoice{PatientID: pat.ID, IssuedOn: "2026-01-01", DueOn: "2026-01-01", Currency: "EUR",
			Lines: []api.NewCharge{{PerformedOn: "2026-01-01", Description: "x", Quantity: 1, UnitMinor: 1}}}))
		for feature, sql := range cells {
			for mask := range 8 {
				p.Exec(t, `DELETE FROM sec.group_perm WHERE group_key = 'probe'`)
				p.Exec(t, `INSERT INTO sec.group_perm VALUES ('probe', 'records.patient', 'view') ON CONFLICT DO NOTHING`)
				granted := map[string]bool{"view": mask&1 != 0, "add": mask&2 != 0, "edit": mask&4 != 0}
				if feature == authz.Patients {
					granted["view"] = true
				}
				for action, on := range granted {
					if on {
						p.Exec(t, `INSERT INTO sec.group_perm VALUES ('probe', $1, $2) ON CONFLICT DO NOTHING`, feature, action)
					}
				}
				var rows int
				if err := p.SQL(t, who, false, func(tx pgx.Tx) error { return tx.QueryRow(t.Context(), sql.see).Scan(&rows) }); err != nil || (rows > 0) != granted["view"] {
					t.Errorf("%s %v: view gives %d rows, %v", feature, granted, rows, err)
				}
				err := p.SQL(t, who, false, func(tx pgx.Tx) error { _, err := tx.Exec(t.Context(), sql.add, who.Account.ID); return err })
				if (err == nil) != granted["add"] || err != nil && sqlState(err) != "42501" {
					t.Errorf("%s %v: add gives %v", feature, granted, err)
				}
				var changed int64
				err = p.SQL(t, who, false, func(tx pgx.Tx) error {
					tag, err := tx.Exec(t.Context(), sql.edit)
					changed = tag.RowsAffected()
					return err
				})
				if err != nil || (changed > 0) != granted["edit"] {
					t.Errorf("%s %v: edit changes %d rows, %v", feature, granted, changed, err)
				}
				live := p.Enter(t, who.Token)
				for action, on := range granted {
					if live.Can(feature, authz.Action(action)) != on {
						t.Errorf("%s %v: the caller's own rights differ on %s", feature, granted, action)
					}
				}
			}
		}
	})
}

func TestListsSayWhoReadWhat(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		anna := p.Person(t, "member")
		pat := p.Patient(t, anna, "Liste", "L")
		s := p.Session(t, anna, pat)
		ok[[]api.Session](t)(p.Charting.List(t.Context(), anna, charting.Query{Patient: &pat.ID}))
		if n := p.Count(t, `SELECT count(*) FROM audit.entry WHERE action = 'R' AND actor = $1 AND session_id IS NOT DISTINCT FROM $4 AND object_ids = ARRAY[$2::uuid] AND patient_id = $3`,
			anna.Account.ID, s.ID, pat.ID, anna.Session.ID); n != 1 {
			t.Errorf("the list is on record %d times", n)
		}
		_, err := p.Records.Get(t.Context(), anna, store.NewID())
		want(t, err, problem.NotFound)
		if n := p.Count(t, `SELECT count(*) FROM audit.entry WHERE outcome = 'denied' AND reason = 'not_found' AND actor = $1`, anna.Account.ID); n != 1 {
			t.Errorf("the attempt is on record %d times", n)
		}
		if strings.Contains(problem.Field("x", "y").Error(), "x") {
			t.Error("a problem's text names fields")
		}
	})
}
