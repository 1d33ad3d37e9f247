// Package charting keeps treatment sessions and their notes, apart from each other: who may see that a session took
// place, or change its price, does not thereby see what was said.
//
// A note is a chain of versions that nothing can change or remove. Saving names the version it was written upon, so
// that nobody overwrites what somebody else just wrote; signing closes the note.
package charting

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/problem"
	"practicectl/server/store"
)

// Service is the practice's charts.
type Service struct{ st *store.Store }

// New returns the service over a store.
func New(st *store.Store) *Service { return &Service{st: st} }

const columns = `s.id, s.patient_id, coalesce(p.family_name || CASE p.given_name WHEN '' THEN '' ELSE ', ' || p.given_name END, ''), s.practitioner_id, s.appointment_id,
  s.held_at, s.duration_min, s.kind, s.code, s.price_minor, s.status,
  EXISTS (SELECT 1 FROM pm.charge c WHERE c.session_id = s.id AND c.reverses IS NULL AND NOT EXISTS (SELECT 1 FROM pm.charge r WHERE r.reverses = c.id)),
  s.owner_id, s.created_at, s.version`

const from = ` FROM pm.session s LEFT JOIN pm.patient p ON p.id = s.patient_id`

// Query selects sessions.
type Query struct {
	Patient      *uuid.UUID // nil: all
	Practitioner *uuid.UUID
	From, To     time.Time // zero: open
	Limit        int       // 0: 200; at most 2000
}

// List returns the visible sessions, newest first. Problem: Forbidden.
func (s *Service) List(ctx context.Context, who *authz.Caller, q Query) ([]api.Session, error) {
	if q.Limit <= 0 {
		q.Limit = 200
	}
	if q.From.IsZero() {
		q.From = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if q.To.IsZero() {
		q.To = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	var out []api.Session
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Sessions, Action: authz.View, Kind: "session"}, func(tx *store.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+columns+from+`
 WHERE s.held_at >= $1 AND s.held_at < $2 AND ($3::uuid IS NULL OR s.patient_id = $3) AND ($4::uuid IS NULL OR s.practitioner_id = $4)
 ORDER BY s.held_at DESC, s.id DESC LIMIT $5`, q.From, q.To, q.Patient, q.Practitioner, min(q.Limit, 2000))
		if err != nil {
			return err
		}
		if out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[api.Session]); err != nil {
			return err
		}
		e := store.Entry{Feature: authz.Sessions, Action: store.Read, Kind: "session", Objects: make([]uuid.UUID, len(out))}
		for i, v := range out {
			e.Objects[i] = v.ID
		}
		if q.Patient != nil {
			e.Patient = *q.Patient
		}
		return tx.Audit(ctx, e)
	})
	return out, err
}

// Get returns one session. Problems: NotFound, Forbidden.
func (s *Service) Get(ctx context.Context, who *authz.Caller, id uuid.UUID) (api.Session, error) {
	var v api.Session
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Sessions, Action: authz.View, Kind: "session", Object: id}, func(tx *store.Tx) (err error) {
		if v, err = read(ctx, tx, id); err != nil {
			return err
		}
		return tx.Audit(ctx, store.Entry{Feature: authz.Sessions, Action: store.Read, Kind: "session", Object: id, Patient: v.PatientID})
	})
	return v, err
}

func read(ctx context.Context, tx *store.Tx, id uuid.UUID) (api.Session, error) {
	rows, err := tx.Query(ctx, `SELECT `+columns+from+` WHERE s.id = $1`, id)
	if err != nil {
		return api.Session{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[api.Session])
}

// Create adds a session of a visible patient; the caller is its practitioner unless another is named. Problems:
// Forbidden, Invalid.
func (s *Service) Create(ctx context.Context, who *authz.Caller, v api.Session) (api.Session, error) {
	v.ID = store.NewID()
	if v.Status == "" {
		v.Status = "held"
	}
	if v.PractitionerID == uuid.Nil {
		v.PractitionerID = who.Account.ID
	}
	if err := check(v); err != nil {
		return v, err
	}
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Sessions, Action: authz.Add, Kind: "session"}, func(tx *store.Tx) (err error) {
		if _, err = tx.Exec(ctx, `INSERT INTO pm.session (id, patient_id, practitioner_id, appointment_id, held_at, duration_min, kind, code, price_minor, status, owner_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, v.ID, v.PatientID, v.PractitionerID, v.AppointmentID, v.HeldAt.UTC(), v.DurationMin, v.Kind, v.Code,
			v.PriceMinor, v.Status, who.Account.ID); err != nil {
			return err
		}
		v, err = read(ctx, tx, v.ID)
		return err
	})
	return v, err
}

// Update changes date, duration, kind, code, price and status of v.ID as it was at v.Version. Problems: NotFound,
// Forbidden, Stale, Invalid.
func (s *Service) Update(ctx context.Context, who *authz.Caller, v api.Session) (api.Session, error) {
	if err := check(v); err != nil {
		return v, err
	}
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Sessions, Action: authz.Edit, Kind: "session", Object: v.ID}, func(tx *store.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE pm.session SET held_at = $3, duration_min = $4, kind = $5, code = $6, price_minor = $7, status = $8 WHERE id = $1 AND version = $2`,
			v.ID, v.Version, v.HeldAt.UTC(), v.DurationMin, v.Kind, v.Code, v.PriceMinor, v.Status)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return tx.WhyUnchanged(ctx, "pm.session", "id", v.ID, v.Version)
		}
		v, err = read(ctx, tx, v.ID)
		return err
	})
	return v, err
}

func check(v api.Session) error {
	switch {
	case v.HeldAt.IsZero() || v.HeldAt.Year() < 1900 || v.HeldAt.Year() > 2200:
		return problem.Field("held_at", "invalid")
	case v.DurationMin < 0 || v.DurationMin > 1440:
		return problem.Field("duration_min", "invalid")
	case v.PriceMinor < 0 || v.PriceMinor > 100_000_000:
		return problem.Field("price_minor", "invalid")
	case len(v.Kind) > 200 || strings.ContainsRune(v.Kind, 0):
		return problem.Field("kind", "too_long")
	case len(v.Code) > 50 || strings.ContainsRune(v.Code, 0):
		return problem.Field("code", "too_long")
	}
	for _, ok := range []string{"planned", "held", "missed", "cancelled"} {
		if v.Status == ok {
			return nil
		}
	}
	return &problem.Error{Code: problem.Invalid, Fields: map[string]string{"status": "invalid"}, Err: errors.New("status")}
}
