// Package finance writes invoices with gapless reference numbers, and the payments for them.
//
// A number is given by the database in the transaction that creates the invoice, from a counter of the creating
// account and year: parallel writers queue, a roll back gives the number back. Lines and payments are never changed;
// cancelling reverses them.
package finance

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/problem"
	"practicectl/server/store"
)

// Service is the practice's books.
type Service struct{ st *store.Store }

// New returns the service over a store.
func New(st *store.Store) *Service { return &Service{st: st} }

const columns = `i.id, i.ref_no, i.patient_id, coalesce(p.family_name || CASE p.given_name WHEN '' THEN '' ELSE ', ' || p.given_name END, ''),
  i.issued_on::text, i.due_on::text, i.recipient, i.remark, i.currency, i.total_minor,
  (SELECT coalesce(sum(y.amount_minor), 0)::bigint FROM pm.payment y WHERE y.invoice_id = i.id), i.status, i.owner_id, coalesce(a.name, ''), i.created_at, i.version`

const from = ` FROM pm.invoice i LEFT JOIN pm.patient p ON p.id = i.patient_id LEFT JOIN sec.account a ON a.id = i.owner_id`

func scan(row pgx.CollectableRow) (v api.Invoice, err error) {
	err = row.Scan(&v.ID, &v.RefNo, &v.PatientID, &v.PatientName, &v.IssuedOn, &v.DueOn, &v.Recipient, &v.Remark, &v.Currency, &v.TotalMinor,
		&v.PaidMinor, &v.Status, &v.OwnerID, &v.OwnerName, &v.CreatedAt, &v.Version)
	return v, err
}

// Query selects invoices.
type Query struct {
	Patient *uuid.UUID // nil: all
	Status  string     // "": all; else open, paid, cancelled
	RefNo   string     // "": all; else the exact number
	Limit   int        // 0: 100; at most 1000
	Offset  int
}

// List returns the visible invoices, newest first, without lines. Problem: Forbidden.
func (s *Service) List(ctx context.Context, who *authz.Caller, q Query) ([]api.Invoice, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	var out []api.Invoice
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Invoices, Action: authz.View, Kind: "invoice"}, func(tx *store.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+columns+from+`
 WHERE ($1::uuid IS NULL OR i.patient_id = $1) AND ($2 = '' OR i.status = $2) AND ($3 = '' OR i.ref_no = $3)
 ORDER BY i.issued_on DESC, i.id DESC LIMIT $4 OFFSET $5`, q.Patient, q.Status, q.RefNo, min(q.Limit, 1000), max(q.Offset, 0))
		if err != nil {
			return err
		}
		if out, err = pgx.CollectRows(rows, scan); err != nil {
			return err
		}
		e := store.Entry{Feature: authz.Invoices, Action: store.Read, Kind: "invoice", Objects: make([]uuid.UUID, len(out))}
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

// Get returns one invoice with its lines and payments. Problems: NotFound, Forbidden.
func (s *Service) Get(ctx context.Context, who *authz.Caller, id uuid.UUID) (api.Invoice, error) {
	var v api.Invoice
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Invoices, Action: authz.View, Kind: "invoice", Object: id}, func(tx *store.Tx) (err error) {
		if v, err = read(ctx, tx, id); err != nil {
			return err
		}
		return tx.Audit(ctx, store.Entry{Feature: authz.Invoices, Action: store.Read, Kind: "invoice", Object: id, Patient: v.PatientID})
	})
	return v, err
}

func read(ctx context.Context, tx *store.Tx, id uuid.UUID) (api.Invoice, error) {
	rows, err := tx.Query(ctx, `SELECT `+columns+from+` WHERE i.id = $1`, id)
	if err != nil {
		return api.Invoice{}, err
	}
	v, err := pgx.CollectExactlyOneRow(rows, scan)
	if err != nil {
		return v, err
	}
	if rows, err = tx.Query(ctx, `SELECT id, session_id, reverses, performed_on::text, code, description, quantity, unit_minor, amount_minor FROM pm.charge WHERE invoice_id = $1 ORDER BY id`, id); err != nil {
		return v, err
	}
	if v.Charges, err = pgx.CollectRows(rows, pgx.RowToStructByPos[api.Charge]); err != nil {
		return v, err
	}
	if rows, err = tx.Query(ctx, `SELECT id, received_on::text, amount_minor, method FROM pm.payment WHERE invoice_id = $1 ORDER BY id`, id); err != nil {
		return v, err
	}
	v.Payments, err = pgx.CollectRows(rows, pgx.RowToStructByPos[api.Payment])
	return v, err
}

// Create writes an invoice over the given lines and unbilled sessions of one patient. Problems: Conflict when a session
// is on another invoice already, Forbidden, NotFound, Invalid.
func (s *Service) Create(ctx context.Context, who *authz.Caller, n api.NewInvoice) (api.Invoice, error) {
	var v api.Invoice
	if err := check(n); err != nil {
		return v, err
	}
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Invoices, Action: authz.Add, Kind: "invoice"}, func(tx *store.Tx) error {
		lines, err := linesOf(ctx, tx, n)
		if err != nil {
			return err
		}
		var total int64
		for _, l := range lines {
			total += l.amount()
		}
		id := store.NewID()
		if _, err := tx.Exec(ctx, `INSERT INTO pm.invoice (id, patient_id, issued_on, due_on, recipient, remark, currency, total_minor, owner_id)
VALUES ($1, $2, $3::text::date, $4::text::date, $5, $6, $7, $8, $9)`, id, n.PatientID, string(n.IssuedOn), string(n.DueOn), n.Recipient, n.Remark, n.Currency, total, who.Account.ID); err != nil {
			return err
		}
		for _, l := range lines {
			if _, err := tx.Exec(ctx, `INSERT INTO pm.charge (id, invoice_id, patient_id, session_id, performed_on, code, description, quantity, unit_minor, amount_minor, owner_id)
VALUES ($1, $2, $3, $4, $5::text::date, $6, $7, $8, $9, $10, $11)`, store.NewID(), id, n.PatientID, l.session, string(l.PerformedOn), l.Code, l.Description, l.Quantity,
				l.UnitMinor, l.amount(), who.Account.ID); err != nil {
				return err
			}
		}
		v, err = read(ctx, tx, id)
		return err
	})
	return v, err
}

func check(n api.NewInvoice) error {
	issued, err1 := time.Parse(time.DateOnly, string(n.IssuedOn))
	due, err2 := time.Parse(time.DateOnly, string(n.DueOn))
	switch {
	case err1 != nil || issued.Year() < 1990 || issued.Year() > 2200:
		return problem.Field("issued_on", "invalid")
	case err2 != nil || due.Before(issued):
		return problem.Field("due_on", "invalid")
	case len(n.Currency) != 3 || strings.ToUpper(n.Currency) != n.Currency:
		return problem.Field("currency", "invalid")
	case len(n.Lines)+len(n.Sessions) == 0 || len(n.Lines)+len(n.Sessions) > 500:
		return problem.Field("lines", "required")
	case len(n.Recipient) > 2000 || len(n.Remark) > 10000 || strings.ContainsRune(n.Recipient+n.Remark, 0):
		return problem.Field("remark", "too_long")
	}
	for _, l := range n.Lines {
		if _, err := time.Parse(time.DateOnly, string(l.PerformedOn)); err != nil || strings.TrimSpace(l.Description) == "" || len(l.Description) > 2000 ||
			l.Quantity < 1 || l.Quantity > 10000 || l.UnitMinor < 0 || l.UnitMinor > 100_000_000 || strings.ContainsRune(l.Description+l.Code, 0) {
			return problem.Field("lines", "invalid")
		}
	}
	return nil
}
