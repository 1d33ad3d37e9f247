package store

import (
	"context"
	"strings"

	"github.com/google/uuid"
)

// Action is what was done, in the audit log.
type Action string

// The actions. Create, update and delete of rows are written by triggers; the server writes the others.
const (
	Read    Action = "R"
	Execute Action = "E" // export, print, sign-in
)

// Entry is one line of the audit log that the server writes itself.
type Entry struct {
	Feature string // "records.patient"
	Action  Action
	Kind    string      // of the object: "patient"
	Object  uuid.UUID   // Nil when a list
	Objects []uuid.UUID // of a list
	Patient uuid.UUID   // Nil when not about one patient
	Outcome string      // "ok" when empty; "denied", "failed"
	Reason  string      // a machine word, never patient data
}

// Audit writes e into the transaction: what a person read is on record before they see it.
func (t *Tx) Audit(ctx context.Context, e Entry) error {
	module, _, _ := strings.Cut(e.Feature, ".")
	if e.Outcome == "" {
		e.Outcome = "ok"
	}
	_, err := t.Exec(ctx, `INSERT INTO audit.entry (actor, session_id, device, ip, module, feature, action, object_kind, object_id, object_ids, patient_id, outcome, reason, request_id)
VALUES (sec.uid(), $1, nullif($2, ''), nullif($3, '')::inet, $4, $5, $6, $7, $8, $9, $10, $11, nullif($12, ''), $13)`,
		orNull(t.session.ID), t.session.Device, t.session.IP, module, e.Feature, string(e.Action), e.Kind, orNull(e.Object), e.Objects, orNull(e.Patient),
		e.Outcome, e.Reason, orNull(t.session.Request))
	return err
}

// AuditFailure writes e in a transaction of its own: the request it tells about came to nothing.
func (s *Store) AuditFailure(ctx context.Context, who Session, e Entry) error {
	return s.WithTx(ctx, who, func(tx *Tx) error { return tx.Audit(ctx, e) })
}

func orNull(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// NewID returns a UUIDv7: ordered by time, so that indexes grow at one end.
func NewID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
