package finance

import (
	"context"

	"github.com/google/uuid"

	"practicectl/internal/api"
	"practicectl/server/problem"
	"practicectl/server/store"
)

type line struct {
	api.NewCharge
	session *uuid.UUID
}

func (l line) amount() int64 { return int64(l.Quantity) * l.UnitMinor }

// linesOf turns sessions into lines. The sessions stay locked until the invoice is written, so that two invoices
// cannot both take them.
func linesOf(ctx context.Context, tx *store.Tx, n api.NewInvoice) ([]line, error) {
	var out []line
	if len(n.Sessions) > 0 {
		// The lock is on the number, not on the row: a biller may bill a session without the right to change it.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended(q.x::text, 7)) FROM (SELECT x FROM unnest($1::uuid[]) x ORDER BY x) q`, n.Sessions); err != nil {
			return nil, err
		}
		rows, err := tx.Query(ctx, `SELECT s.id, s.held_at::date::text, s.code, s.kind, s.price_minor,
  EXISTS (SELECT 1 FROM pm.charge c WHERE c.session_id = s.id AND c.reverses IS NULL AND NOT EXISTS (SELECT 1 FROM pm.charge r WHERE r.reverses = c.id))
  FROM pm.session s WHERE s.id = ANY ($1) AND s.patient_id = $2 ORDER BY s.held_at, s.id`, n.Sessions, n.PatientID)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		for rows.Next() {
			var id uuid.UUID
			var kind string
			var billed bool
			l := line{NewCharge: api.NewCharge{Quantity: 1}}
			if err := rows.Scan(&id, &l.PerformedOn, &l.Code, &kind, &l.UnitMinor, &billed); err != nil {
				return nil, err
			}
			if billed {
				return nil, problem.New(problem.Conflict, nil)
			}
			if l.Description = kind; kind == "" {
				l.Description = l.Code
			}
			l.session = &id
			out = append(out, l)
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
		if len(out) != len(n.Sessions) {
			return nil, problem.New(problem.NotFound, nil)
		}
	}
	for _, c := range n.Lines {
		out = append(out, line{NewCharge: c})
	}
	return out, nil
}

// lockInvoice reads an invoice that is about to get payments or reversals, and keeps other writers off it.
func lockInvoice(ctx context.Context, tx *store.Tx, id uuid.UUID, version int64) (api.Invoice, error) {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1::text, 8))`, id.String()); err != nil {
		return api.Invoice{}, err
	}
	v, err := read(ctx, tx, id)
	if err == nil && version != 0 && v.Version != version {
		err = problem.New(problem.Stale, nil)
	}
	return v, err
}

func setStatus(ctx context.Context, tx *store.Tx, id uuid.UUID, status string) error {
	tag, err := tx.Exec(ctx, `UPDATE pm.invoice SET status = $2 WHERE id = $1`, id, status)
	if err == nil && tag.RowsAffected() != 1 {
		err = problem.New(problem.Forbidden, nil)
	}
	return err
}
