package invariant_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
	"practicectl/server/invariant"
	"practicectl/server/servertest"
	"practicectl/server/store"
)

// broken is one way to break each promise, by somebody who may do anything.
var broken = map[string]string{
	"row-security":    `ALTER TABLE pm.patient NO FORCE ROW LEVEL SECURITY`,
	"roles":           `ALTER ROLE pm_server BYPASSRLS`,
	"constraints":     `ALTER TABLE pm.charge DISABLE TRIGGER append_only`,
	"log-entries":     `DROP TRIGGER append_only ON audit.entry`,
	"sessions":        `DELETE FROM pm.patient WHERE id IN (SELECT patient_id FROM pm.session)`,
	"notes":           `UPDATE pm.session_note SET head = gen_random_uuid()`,
	"note-versions":   `UPDATE pm.note_version SET body = body || '.'`,
	"documents":       `DELETE FROM pm.document_chunk WHERE seq = 1`,
	"invoice-numbers": `DELETE FROM pm.invoice WHERE ref_no LIKE '%-000002-%'`,
	"charges":         `DELETE FROM pm.charge WHERE unit_minor = 4200`,
	"payments":        `DELETE FROM pm.invoice WHERE id IN (SELECT invoice_id FROM pm.payment)`,
}

func ask(t *testing.T, conn *pgx.Conn, c invariant.Check) (count int64, found []string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), c.Count).Scan(&count); err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	rows, err := conn.Query(t.Context(), c.SQL)
	if err == nil {
		found, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	return count, found
}

// furnish gives the practice something of everything that promises are about.
func furnish(t *testing.T, p *servertest.Practice) {
	t.Helper()
	anna := p.Person(t, "therapist")
	patient := p.Patient(t, anna, "Kanarienvogel", "Ida")
	p.Note(t, anna, p.Session(t, anna, patient), "gelb")
	for n := range 3 {
		p.Exec(t, `INSERT INTO pm.invoice (id, patient_id, ref_no, issued_on, due_on, currency, total_minor, owner_id) VALUES ($1, $2, '', '2026-03-01', '2026-04-01', 'EUR', 4200, $3)`, store.NewID(), patient.ID, anna.Account.ID)
		p.Exec(t, fmt.Sprintf(`INSERT INTO pm.charge (id, invoice_id, patient_id, performed_on, description, unit_minor, amount_minor, owner_id)
			SELECT '%s', id, patient_id, issued_on, 'Sitzung', 4200, 4200, owner_id FROM pm.invoice WHERE ref_no LIKE '2026-%06d-%%'`, store.NewID(), n+1))
	}
	p.Exec(t, fmt.Sprintf(`INSERT INTO pm.payment (id, invoice_id, patient_id, received_on, amount_minor, owner_id) SELECT '%s', id, patient_id, issued_on, 4200, owner_id FROM pm.invoice WHERE ref_no LIKE '2026-000003-%%'`, store.NewID()))
	document := store.NewID()
	p.Exec(t, `INSERT INTO pm.document (id, patient_id, name, media_type, size, sha256, owner_id) VALUES ($1, $2, 'Befund', 'text/plain', 6, sha256('abcdef'), $3)`, document, patient.ID, anna.Account.ID)
	p.Exec(t, `INSERT INTO pm.document_chunk VALUES ($1, 0, 'abc'), ($1, 1, 'def')`, document)
	p.Exec(t, `INSERT INTO pm.document (id, patient_id, name, media_type, size, sha256, owner_id) VALUES ($1, $2, 'leer', 'text/plain', 0, sha256(''), $3)`, store.NewID(), patient.ID, anna.Account.ID)
}

func TestEachPromiseHoldsUntilItIsBroken(t *testing.T) {
	for _, major := range testenv.PGMajors {
		t.Run(fmt.Sprintf("pg%d", major), func(t *testing.T) {
			p := servertest.Start(t, major)
			furnish(t, p)
			conn := p.Connect(t, pgcluster.Superuser)
			if _, err := conn.Exec(t.Context(), `SET search_path = pg_catalog, pg_temp; SET session_replication_role = replica`); err != nil { // no trigger and no foreign key is in the way
				t.Fatal(err)
			}
			var schema int64
			if err := conn.QueryRow(t.Context(), invariant.Schema).Scan(&schema); err != nil || schema != store.Known() {
				t.Errorf("schema %d, %v", schema, err)
			}
			for _, c := range invariant.All() {
				if count, found := ask(t, conn, c); count == 0 || len(found) > 0 {
					t.Errorf("%s: %d looked at, found %q", c.Name, count, found)
				}
				if c.Since < 1 || c.Since > store.Known() {
					t.Errorf("%s is since %d", c.Name, c.Since)
				}
				if _, err := conn.Exec(t.Context(), "BEGIN"); err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Exec(t.Context(), broken[c.Name]); err != nil {
					t.Fatalf("break %s: %v", c.Name, err)
				}
				_, found := ask(t, conn, c)
				if len(found) == 0 {
					t.Errorf("%s was broken, and nothing was found", c.Name)
				}
				if slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, "Kanarienvogel") || strings.Contains(s, "gelb") }) {
					t.Errorf("%s quotes a patient: %q", c.Name, found)
				}
				if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
