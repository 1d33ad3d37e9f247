package server_test

import (
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"practicectl/internal/api"
	"practicectl/server/servertest"
	"practicectl/server/store"
)

// PostgreSQL quotes the failing row in the details of an error; neither its log nor our errors may. (Text that is no date
// or number it quotes in the message itself: the services check what they cast before it gets there.)
func TestFailuresLeaveNoPatientDataInLogs(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		const canary = "Kanarienvogel"
		anna := p.Person(t, "member")
		pat := p.Patient(t, anna, canary, canary)
		var said []string
		note := func(err error) {
			if err == nil {
				t.Error("a mistake went through")
				return
			}
			said = append(said, err.Error())
		}
		for _, sql := range []string{
			`INSERT INTO pm.patient (id, family_name, sex, owner_id) VALUES (gen_random_uuid(), $1, '?', $2)`,
			`INSERT INTO pm.patient (id, number, family_name, owner_id) SELECT gen_random_uuid(), number, $1, $2 FROM pm.patient`,
			`INSERT INTO pm.patient (id, family_name, owner_id) VALUES (gen_random_uuid(), $1, gen_random_uuid()) RETURNING $2::uuid`,
		} {
			note(p.Store.WithTx(t.Context(), anna.Session, func(tx *store.Tx) error {
				_, err := tx.Exec(t.Context(), sql, canary, anna.Account.ID)
				return err
			}))
			_ = p.SQL(t, anna, true, func(tx pgx.Tx) error { _, err := tx.Exec(t.Context(), sql, canary, anna.Account.ID); return err })
		}
		pat.Sex = canary
		_, err := p.Records.Update(t.Context(), anna, pat)
		note(err)
		_, err = p.Charting.SaveNote(t.Context(), anna, pat.ID, api.NoteSave{Op: store.NewID(), Body: canary})
		note(err)
		log, err := os.ReadFile(p.Cluster.Log)
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, string(log))
		for _, text := range said {
			for _, private := range []string{canary, anna.Token.Reveal()} {
				if i := strings.Index(text, private); i >= 0 {
					t.Errorf("…%s…", text[max(0, i-200):min(len(text), i+50)])
				}
			}
		}
	})
}
