package charting

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/problem"
	"practicectl/server/store"
)

// maxNote is the longest note, in bytes.
const maxNote = 1 << 20

// Note returns the newest text of a session's note; Status is "none" when nothing was written yet. Problems: Forbidden
// when the caller may not see notes, NotFound when the session is not visible.
func (s *Service) Note(ctx context.Context, who *authz.Caller, session uuid.UUID) (api.Note, error) {
	var n api.Note
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Notes, Action: authz.View, Kind: "session_note", Object: session}, func(tx *store.Tx) (err error) {
		if n, err = readNote(ctx, tx, session); err != nil {
			return err
		}
		return tx.Audit(ctx, store.Entry{Feature: authz.Notes, Action: store.Read, Kind: "session_note", Object: session, Patient: n.PatientID})
	})
	return n, err
}

func readNote(ctx context.Context, tx *store.Tx, session uuid.UUID) (api.Note, error) {
	n := api.Note{SessionID: session, Status: "none"}
	err := tx.QueryRow(ctx, `SELECT s.patient_id FROM pm.session s WHERE s.id = $1`, session).Scan(&n.PatientID)
	if err != nil {
		return n, err
	}
	err = tx.QueryRow(ctx, `SELECT n.status, n.head, v.body, v.owner_id, v.created_at, n.signed_by, n.signed_at, (SELECT count(*) FROM pm.note_version x WHERE x.session_id = n.session_id)
  FROM pm.session_note n LEFT JOIN pm.note_version v ON v.id = n.head WHERE n.session_id = $1`, session).
		Scan(&n.Status, &n.Head, &n.Body, &n.AuthorID, &n.SavedAt, &n.SignedBy, &n.SignedAt, &n.Versions)
	if errors.Is(err, pgx.ErrNoRows) {
		return n, nil
	}
	return n, err
}

// SaveNote appends a version to a session's note. A retry with the same Op changes nothing and returns the note as it
// is. Problems: Stale when Base is not the newest version, Locked when the note is signed, NotFound, Forbidden, Invalid.
func (s *Service) SaveNote(ctx context.Context, who *authz.Caller, session uuid.UUID, save api.NoteSave) (api.Note, error) {
	var n api.Note
	if save.Op == uuid.Nil {
		return n, problem.Field("op_id", "required")
	}
	if len(save.Body) > maxNote || strings.ContainsRune(save.Body, 0) {
		return n, problem.Field("body", "too_long")
	}
	action := authz.Edit
	if save.Base == nil {
		action = authz.Add
	}
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Notes, Action: action, Kind: "session_note", Object: session}, func(tx *store.Tx) (err error) {
		if n, err = readNote(ctx, tx, session); err != nil {
			return err
		}
		var seen bool
		if err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pm.note_version WHERE op_id = $1 AND session_id = $2)`, save.Op, session).Scan(&seen); err != nil || seen {
			return err
		}
		if n.Status == "signed" {
			return problem.New(problem.Locked, nil)
		}
		if err = appendVersion(ctx, tx, who, n, save); err != nil {
			return err
		}
		n, err = readNote(ctx, tx, session)
		return err
	})
	return n, err
}

// appendVersion moves the head first: of two writers upon the same base, one meets the other's row lock and then no row.
func appendVersion(ctx context.Context, tx *store.Tx, who *authz.Caller, n api.Note, save api.NoteSave) error {
	version := store.NewID()
	parents := []uuid.UUID{}
	if save.Base == nil {
		tag, err := tx.Exec(ctx, `INSERT INTO pm.session_note (session_id, patient_id, head, owner_id) VALUES ($1, $2, $3, $4) ON CONFLICT (session_id) DO NOTHING`,
			n.SessionID, n.PatientID, version, who.Account.ID)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return problem.New(problem.Stale, nil)
		}
	} else {
		parents = append(parents, *save.Base)
		tag, err := tx.Exec(ctx, `UPDATE pm.session_note SET head = $3 WHERE session_id = $1 AND head = $2`, n.SessionID, save.Base, version)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return problem.New(problem.Stale, nil)
		}
	}
	_, err := tx.Exec(ctx, `INSERT INTO pm.note_version (id, session_id, patient_id, parents, body, body_sha256, device, op_id, owner_id) VALUES ($1, $2, $3, $4, $5, '', $6, $7, $8)`,
		version, n.SessionID, n.PatientID, parents, save.Body, who.Device, save.Op, who.Account.ID)
	return err
}

// SignNote closes a note whose newest version is head; from then on nobody can change it. Problems: Stale, Locked,
// NotFound, Forbidden.
func (s *Service) SignNote(ctx context.Context, who *authz.Caller, session, head uuid.UUID) (api.Note, error) {
	var n api.Note
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Notes, Action: authz.Edit, Kind: "session_note", Object: session}, func(tx *store.Tx) (err error) {
		if n, err = readNote(ctx, tx, session); err != nil {
			return err
		}
		switch {
		case n.Status == "none":
			return problem.New(problem.NotFound, nil)
		case n.Status == "signed":
			return problem.New(problem.Locked, nil)
		}
		tag, err := tx.Exec(ctx, `UPDATE pm.session_note SET status = 'signed', signed_by = $3, signed_at = now() WHERE session_id = $1 AND head = $2`, session, head, who.Account.ID)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return problem.New(problem.Stale, nil)
		}
		n, err = readNote(ctx, tx, session)
		return err
	})
	return n, err
}

// History returns all versions of a session's note, oldest first. Problems: NotFound, Forbidden.
func (s *Service) History(ctx context.Context, who *authz.Caller, session uuid.UUID) ([]api.NoteVersion, error) {
	var out []api.NoteVersion
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Notes, Action: authz.View, Kind: "note_version", Object: session}, func(tx *store.Tx) error {
		n, err := readNote(ctx, tx, session)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT id, parents, body, encode(body_sha256, 'hex'), owner_id, created_at FROM pm.note_version WHERE session_id = $1 ORDER BY created_at, id`, session)
		if err != nil {
			return err
		}
		if out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[api.NoteVersion]); err != nil {
			return err
		}
		return tx.Audit(ctx, store.Entry{Feature: authz.Notes, Action: store.Read, Kind: "note_version", Object: session, Patient: n.PatientID})
	})
	return out, err
}
