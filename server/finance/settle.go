package finance

import (
	"context"
	"time"

	"github.com/google/uuid"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/problem"
	"practicectl/server/store"
)

// Pay records money received for an invoice; when it covers the total the invoice is paid. Problems: Locked when the
// invoice is cancelled, NotFound, Forbidden, Invalid.
func (s *Service) Pay(ctx context.Context, who *authz.Caller, invoice uuid.UUID, n api.NewPayment) (api.Invoice, error) {
	var v api.Invoice
	if _, err := time.Parse(time.DateOnly, string(n.ReceivedOn)); err != nil {
		return v, problem.Field("received_on", "invalid")
	}
	if n.AmountMinor <= 0 || n.AmountMinor > 10_000_000_000 {
		return v, problem.Field("amount_minor", "invalid")
	}
	if n.Method == "" {
		n.Method = "transfer"
	}
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Payments, Action: authz.Add, Kind: "payment", Object: invoice}, func(tx *store.Tx) (err error) {
		if v, err = lockInvoice(ctx, tx, invoice, 0); err != nil {
			return err
		}
		if v.Status == "cancelled" {
			return problem.New(problem.Locked, nil)
		}
		if _, err = tx.Exec(ctx, `INSERT INTO pm.payment (id, invoice_id, patient_id, received_on, amount_minor, method, owner_id) VALUES ($1, $2, $3, $4::text::date, $5, $6, $7)`,
			store.NewID(), invoice, v.PatientID, string(n.ReceivedOn), n.AmountMinor, n.Method, who.Account.ID); err != nil {
			return err
		}
		if v.Status == "open" && v.PaidMinor+n.AmountMinor >= v.TotalMinor {
			if err = setStatus(ctx, tx, invoice, "paid"); err != nil {
				return err
			}
		}
		v, err = read(ctx, tx, invoice)
		return err
	})
	return v, err
}

// Cancel reverses every line and marks the invoice cancelled; its number stays taken, its sessions can be billed again.
// Problems: Locked when it is cancelled or partly paid, Stale, NotFound, Forbidden.
func (s *Service) Cancel(ctx context.Context, who *authz.Caller, invoice uuid.UUID, version int64) (api.Invoice, error) {
	var v api.Invoice
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Invoices, Action: authz.Edit, Kind: "invoice", Object: invoice}, func(tx *store.Tx) (err error) {
		if v, err = lockInvoice(ctx, tx, invoice, version); err != nil {
			return err
		}
		if v.Status != "open" || v.PaidMinor != 0 {
			return problem.New(problem.Locked, nil)
		}
		for _, c := range v.Charges {
			if _, err = tx.Exec(ctx, `INSERT INTO pm.charge (id, invoice_id, patient_id, session_id, reverses, performed_on, code, description, quantity, unit_minor, amount_minor, owner_id)
VALUES ($1, $2, $3, $4, $5, $6::text::date, $7, $8, $9, $10, $11, $12)`, store.NewID(), invoice, v.PatientID, c.SessionID, c.ID, string(c.PerformedOn), c.Code, c.Description,
				c.Quantity, -c.UnitMinor, -c.AmountMinor, who.Account.ID); err != nil {
				return err
			}
		}
		if err = setStatus(ctx, tx, invoice, "cancelled"); err != nil {
			return err
		}
		v, err = read(ctx, tx, invoice)
		return err
	})
	return v, err
}
