package api

import (
	"time"

	"github.com/google/uuid"
)

// Invoice is a numbered bill with its lines and payments.
type Invoice struct {
	ID          uuid.UUID `json:"id"`
	RefNo       string    `json:"ref_no"` // "2026-000123-17": year, number, account
	PatientID   uuid.UUID `json:"patient_id"`
	PatientName string    `json:"patient_name"`
	IssuedOn    Date      `json:"issued_on"`
	DueOn       Date      `json:"due_on"`
	Recipient   string    `json:"recipient"`
	Remark      string    `json:"remark"`
	Currency    string    `json:"currency"` // ISO 4217
	TotalMinor  int64     `json:"total_minor"`
	PaidMinor   int64     `json:"paid_minor"`
	Status      string    `json:"status"` // open, paid, cancelled
	OwnerID     uuid.UUID `json:"owner_id"`
	OwnerName   string    `json:"owner_name"`
	CreatedAt   time.Time `json:"created_at"`
	Version     int64     `json:"version"`
	Charges     []Charge  `json:"charges,omitempty"`
	Payments    []Payment `json:"payments,omitempty"`
}

// Charge is one line of an invoice.
type Charge struct {
	ID          uuid.UUID  `json:"id"`
	SessionID   *uuid.UUID `json:"session_id"`
	Reverses    *uuid.UUID `json:"reverses"`
	PerformedOn Date       `json:"performed_on"`
	Code        string     `json:"code"`
	Description string     `json:"description"`
	Quantity    int        `json:"quantity"`
	UnitMinor   int64      `json:"unit_minor"`
	AmountMinor int64      `json:"amount_minor"`
}

// Payment is money received for an invoice; a negative one was given back.
type Payment struct {
	ID          uuid.UUID `json:"id"`
	ReceivedOn  Date      `json:"received_on"`
	AmountMinor int64     `json:"amount_minor"`
	Method      string    `json:"method"` // transfer, cash, card, other
}

// NewInvoice is a request for an invoice: lines, or sessions that become lines, or both.
type NewInvoice struct {
	PatientID uuid.UUID   `json:"patient_id"`
	IssuedOn  Date        `json:"issued_on"`
	DueOn     Date        `json:"due_on"`
	Recipient string      `json:"recipient,omitempty"`
	Remark    string      `json:"remark,omitempty"`
	Currency  string      `json:"currency"`
	Sessions  []uuid.UUID `json:"sessions,omitempty"`
	Lines     []NewCharge `json:"lines,omitempty"`
}

// NewCharge is a line of NewInvoice.
type NewCharge struct {
	PerformedOn Date   `json:"performed_on"`
	Code        string `json:"code,omitempty"`
	Description string `json:"description"`
	Quantity    int    `json:"quantity"`
	UnitMinor   int64  `json:"unit_minor"`
}

// NewPayment is a request to record money.
type NewPayment struct {
	ReceivedOn  Date   `json:"received_on"`
	AmountMinor int64  `json:"amount_minor"`
	Method      string `json:"method"`
}
