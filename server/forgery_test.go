package server_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"practicectl/internal/api"
	"practicectl/internal/testenv"
	"practicectl/server/documents"
	"practicectl/server/servertest"
	"practicectl/server/store"
)

// TestWhoeverRunsSQLCannotForgeRecords: with their own token and the server's role, people cannot date back what they
// write, sign for others, or append to what is stored.
func TestWhoeverRunsSQLCannotForgeRecords(t *testing.T) {
	p := servertest.Start(t, testenv.PGMajors[0])
	anna, bert := p.Person(t, "member"), p.Person(t, "member")
	pat := p.Patient(t, anna, "Berg", "Ute")
	s, blank := p.Session(t, anna, pat), p.Session(t, anna, pat)
	p.Note(t, anna, s, "Text")
	doc := ok[api.Document](t)(p.Documents.Store(t.Context(), anna, documents.NewDocument{PatientID: pat.ID, Name: "a.pdf"}, strings.NewReader("x")))

	for name, statements := range map[string][]string{
		"an old entry of the log": {`INSERT INTO audit.entry (actor, feature, action, object_kind, at) VALUES (sec.uid(), 'x', 'R', 'x', '2020-01-01')`},
		"a numbered entry":        {`INSERT INTO audit.entry (actor, feature, action, object_kind, xid) VALUES (sec.uid(), 'x', 'R', 'x', '3')`},
		"a note born signed":      {`INSERT INTO pm.session_note (session_id, patient_id, status, signed_at, owner_id) VALUES ('` + blank.ID.String() + `', '` + pat.ID.String() + `', 'signed', now(), sec.uid())`},
		"a document that grows":   {`UPDATE pm.document SET category = 'x'`, `INSERT INTO pm.document_chunk (document_id, seq, data) VALUES ('` + doc.ID.String() + `', 1, 'x')`},
	} {
		err := p.SQL(t, anna, false, func(tx pgx.Tx) (err error) {
			for i := 0; i < len(statements) && err == nil; i++ {
				_, err = tx.Exec(t.Context(), statements[i])
			}
			return err
		})
		if sqlState(err) != "42501" {
			t.Errorf("%s: %v", name, err)
		}
	}

	err := p.SQL(t, anna, true, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `INSERT INTO pm.patient (id, family_name, owner_id, version, created_at) VALUES ($1, 'Alt', sec.uid(), 7, '2020-01-01')`, store.NewID()); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), `UPDATE pm.session_note SET status = 'signed', signed_by = $1, signed_at = '2020-01-01'`, bert.Account.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.Count(t, `SELECT count(*) FROM pm.patient WHERE version <> 1 OR created_at < '2021-01-01'`) != 0 {
		t.Error("a patient was dated back")
	}
	if p.Count(t, `SELECT count(*) FROM pm.session_note WHERE signed_by = $1 AND signed_at > '2021-01-01'`, anna.Account.ID) != 1 {
		t.Error("a note is not signed by who signed it")
	}
}
