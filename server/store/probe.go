package store

import (
	"context"
	"errors"
)

// SchemaMatches fails when the database's schema is not the one of this binary. Error kind: Precond.
func (s *Store) SchemaMatches(ctx context.Context) error {
	v, err := s.schema(ctx)
	if err != nil {
		return err
	}
	return v.Check()
}

// SchemaOf compares this binary's schema with the open database's.
func (s *Store) SchemaOf(ctx context.Context) (Schema, error) { return s.schema(ctx) }

// RowSecurityHolds fails when somebody who has not signed in would see a patient.
func (s *Store) RowSecurityHolds(ctx context.Context) error {
	return s.WithTx(ctx, Session{}, func(tx *Tx) error {
		var seen bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pm.patient)`).Scan(&seen); err != nil {
			return err
		}
		if seen {
			return errors.New("patients are visible without signing in")
		}
		return nil
	})
}
