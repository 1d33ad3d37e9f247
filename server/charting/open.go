package charting

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"practicectl/server/authz"
	"practicectl/server/store"
)

// OpenNote is a session that took place and whose note is not signed.
type OpenNote struct {
	Session     uuid.UUID
	Patient     uuid.UUID
	PatientName string
	HeldAt      time.Time
	Kind        string
	Status      string // "none" or "draft"
}

// OpenNotes lists the visible sessions without a signed note, newest first, without any text. Problem: Forbidden.
func (s *Service) OpenNotes(ctx context.Context, who *authz.Caller, q Query) ([]OpenNote, error) {
	if q.Limit <= 0 {
		q.Limit = 200
	}
	var out []OpenNote
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Notes, Action: authz.View, Kind: "session_note"}, func(tx *store.Tx) error {
		rows, err := tx.Query(ctx, `SELECT s.id, s.patient_id, coalesce(p.family_name || CASE p.given_name WHEN '' THEN '' ELSE ', ' || p.given_name END, ''),
  s.held_at, s.kind, coalesce(n.status, 'none')
  FROM pm.session s LEFT JOIN pm.patient p ON p.id = s.patient_id LEFT JOIN pm.session_note n ON n.session_id = s.id
 WHERE s.status = 'held' AND s.held_at >= $1 AND s.held_at < $2 AND n.signed_at IS NULL
   AND ($3::uuid IS NULL OR s.patient_id = $3) AND ($4::uuid IS NULL OR s.practitioner_id = $4)
 ORDER BY s.held_at DESC, s.id DESC LIMIT $5`, q.From, q.To, q.Patient, q.Practitioner, min(q.Limit, 2000))
		if err != nil {
			return err
		}
		if out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[OpenNote]); err != nil {
			return err
		}
		e := store.Entry{Feature: authz.Notes, Action: store.Read, Kind: "session", Objects: make([]uuid.UUID, len(out))}
		for i, v := range out {
			e.Objects[i] = v.Session
		}
		return tx.Audit(ctx, e)
	})
	return out, err
}
