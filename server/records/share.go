package records

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/problem"
	"practicectl/server/store"
)

// Shares lists whom a patient's record is shared with, as far as the caller may know. Problems: NotFound, Forbidden.
func (s *Service) Shares(ctx context.Context, who *authz.Caller, patient uuid.UUID) ([]api.Share, error) {
	var out []api.Share
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Patients, Action: authz.View, Kind: "record_share", Object: patient}, func(tx *store.Tx) error {
		if _, err := read(ctx, tx, patient); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT s.id, s.grantee, coalesce(g.name, ''), s.by, coalesce(b.name, ''), s.at
  FROM pm.record_share s LEFT JOIN sec.account g ON g.id = s.grantee LEFT JOIN sec.account b ON b.id = s.by
 WHERE s.kind = 'patient' AND s.record_id = $1 ORDER BY s.at, s.id`, patient)
		if err != nil {
			return err
		}
		if out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[api.Share]); err != nil {
			return err
		}
		return tx.Audit(ctx, store.Entry{Feature: authz.Shares, Action: store.Read, Kind: "record_share", Object: patient, Patient: patient})
	})
	return out, err
}

// Share gives accounts, or everyone who is or ever will be here, access to a patient's record with its sessions and
// notes. Only the record's owner and administrators can; nobody can take it back. Problems: NotFound, Forbidden, Invalid.
func (s *Service) Share(ctx context.Context, who *authz.Caller, patient uuid.UUID, r api.ShareRequest) error {
	if !r.Everyone && len(r.Accounts) == 0 {
		return problem.Field("accounts", "required")
	}
	if len(r.Accounts) > 1000 {
		return problem.Field("accounts", "too_long")
	}
	return who.Do(ctx, s.st, authz.Deed{Feature: authz.Shares, Action: authz.Add, Kind: "record_share", Object: patient}, func(tx *store.Tx) error {
		p, err := read(ctx, tx, patient)
		if err != nil {
			return err
		}
		if p.OwnerID != who.Account.ID && who.Scope(authz.Shares) != authz.ScopeAll {
			return problem.New(problem.Forbidden, nil)
		}
		grantees := make([]*uuid.UUID, 0, len(r.Accounts)+1)
		if r.Everyone {
			grantees = append(grantees, nil)
		}
		for i := range r.Accounts {
			grantees = append(grantees, &r.Accounts[i])
		}
		for _, g := range grantees {
			if _, err := tx.Exec(ctx, `INSERT INTO pm.record_share (id, kind, record_id, grantee, by) VALUES ($1, 'patient', $2, $3, $4) ON CONFLICT DO NOTHING`,
				store.NewID(), patient, g, who.Account.ID); err != nil {
				return err
			}
		}
		return nil
	})
}
