package demo

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"practicectl/demo/data"
	"practicectl/internal/progress"
)

// chunkSize is how a document is cut in the database, in bytes.
const chunkSize = 256 << 10

// firstFacility is the one that every practice starts with (migration 00005).
var firstFacility = uuid.MustParse("01900000-0000-7000-8000-000000000001")

// loader puts an invented practice into the database as one bulk load: one entry in the audit log, not one a row.
type loader struct {
	p        *data.Practice
	password string // argon2id hash of the demo's password
	admin    uuid.UUID
	tx       pgx.Tx
}

// load runs over a connection as pm_migrate. The practice's first member of staff is the administrator who exists already.
func (l *loader) load(ctx context.Context, conn *pgx.Conn, r progress.Reporter) error {
	if err := conn.QueryRow(ctx, `SELECT id FROM sec.account WHERE login = $1`, l.p.Staff[0].Login).Scan(&l.admin); err != nil {
		return fmt.Errorf("find the administrator: %w", err)
	}
	l.p.Staff[0].ID = l.admin
	l.p.Facilities[0].ID = firstFacility
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		l.tx = tx
		if _, err := tx.Exec(ctx, `SET LOCAL pm.bulk = 'demo'`); err != nil {
			return err
		}
		task := r.Task("practice", progress.Items, 0)
		defer task.Done()
		for _, part := range []struct {
			name string
			run  func(context.Context) (int64, error)
		}{
			{"places", l.places}, {"staff", l.staff}, {"patients", l.patients}, {"appointments", l.appointments}, {"sessions", l.sessions},
			{"notes", l.notes}, {"invoices", l.invoices}, {"documents", l.documents}, {"the log", l.log},
		} {
			n, err := part.run(ctx)
			if err != nil {
				return fmt.Errorf("load the %s: %w", part.name, err)
			}
			task.Add(n)
		}
		return nil
	})
}

// copyRows sends n rows by COPY into schema.table.
func (l *loader) copyRows(ctx context.Context, table string, columns []string, n int, row func(i int) ([]any, error)) (int64, error) {
	return l.tx.CopyFrom(ctx, strings.Split(table, "."), columns, pgx.CopyFromSlice(n, row))
}

func (l *loader) facilityOf(staff int) uuid.UUID {
	return l.p.Facilities[l.p.Rooms[l.p.Staff[staff].Room].Facility].ID
}

func (l *loader) owner(patient int) uuid.UUID { return l.p.Staff[l.p.Patients[patient].Owner].ID }

func (l *loader) facility(patient int) uuid.UUID { return l.facilityOf(l.p.Patients[patient].Owner) }

func (l *loader) places(ctx context.Context) (int64, error) {
	if _, err := l.tx.Exec(ctx, `UPDATE pm.facility SET name = $2 WHERE id = $1`, firstFacility, l.p.Facilities[0].Name); err != nil {
		return 0, err
	}
	rest := l.p.Facilities[1:]
	n, err := l.copyRows(ctx, "pm.facility", []string{"id", "name"}, len(rest), func(i int) ([]any, error) {
		return []any{rest[i].ID, rest[i].Name}, nil
	})
	if err != nil {
		return n, err
	}
	m, err := l.copyRows(ctx, "pm.room", []string{"id", "facility_id", "name"}, len(l.p.Rooms), func(i int) ([]any, error) {
		return []any{l.p.Rooms[i].ID, l.p.Facilities[l.p.Rooms[i].Facility].ID, l.p.Rooms[i].Name}, nil
	})
	return n + m, err
}

func (l *loader) staff(ctx context.Context) (int64, error) {
	people := l.p.Staff[1:]
	n, err := l.copyRows(ctx, "sec.account", []string{"id", "login", "name", "state"}, len(people), func(i int) ([]any, error) {
		return []any{people[i].ID, people[i].Login, people[i].Name, "active"}, nil
	})
	if err != nil {
		return n, err
	}
	for _, person := range people {
		for _, statement := range []string{
			`INSERT INTO sec.account_role (account_id, role) VALUES ($1, $2)`,
			`INSERT INTO sec.account_group (account_id, group_key) VALUES ($1, $2)`,
			`INSERT INTO sec.account_module (account_id, module) SELECT $1, module FROM sec.role_module WHERE role = $2`,
		} {
			if _, err := l.tx.Exec(ctx, statement, person.ID, person.Role); err != nil {
				return n, err
			}
		}
		if _, err := l.tx.Exec(ctx, `INSERT INTO sec.credential (account_id, pw_hash, pw_changed_at) VALUES ($1, $2, now())`, person.ID, l.password); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (l *loader) patients(ctx context.Context) (int64, error) {
	columns := []string{"id", "family_name", "given_name", "sex", "birth_date", "street", "postal_code", "city", "country", "mobile", "email",
		"insurer", "insurance_no", "insurance_kind", "language", "owner_id", "facility_id", "created_at"}
	return l.copyRows(ctx, "pm.patient", columns, len(l.p.Patients), func(i int) ([]any, error) {
		p := l.p.Patients[i]
		kind := "statutory"
		if p.Insurer == "privat" {
			kind = "self"
		}
		return []any{p.ID, p.FamilyName, p.GivenName, p.Sex, p.Born, p.Street, p.PostalCode, p.City, "AT", p.Phone, p.Email,
			p.Insurer, p.InsuranceNumber, kind, "de", l.owner(i), l.facility(i), p.Created}, nil
	})
}

func (l *loader) appointments(ctx context.Context) (int64, error) {
	columns := []string{"id", "patient_id", "practitioner_id", "room_id", "during", "status", "kind", "owner_id", "facility_id", "created_at"}
	return l.copyRows(ctx, "pm.appointment", columns, len(l.p.Appointments), func(i int) ([]any, error) {
		a := l.p.Appointments[i]
		room := l.p.Rooms[l.p.Staff[l.p.Patients[a.Patient].Owner].Room].ID
		during := pgtype.Range[time.Time]{Lower: a.Begin, Upper: a.End, LowerType: pgtype.Inclusive, UpperType: pgtype.Exclusive, Valid: true}
		created := a.Begin.AddDate(0, 0, -14)
		if created.After(l.p.Day) {
			created = l.p.Day
		}
		return []any{a.ID, l.p.Patients[a.Patient].ID, l.owner(a.Patient), room, during, a.Status, a.Service, l.owner(a.Patient), l.facility(a.Patient), created}, nil
	})
}

func (l *loader) sessions(ctx context.Context) (int64, error) {
	columns := []string{"id", "patient_id", "practitioner_id", "appointment_id", "held_at", "duration_min", "kind", "price_minor", "owner_id", "facility_id", "created_at"}
	return l.copyRows(ctx, "pm.session", columns, len(l.p.Sessions), func(i int) ([]any, error) {
		s := l.p.Sessions[i]
		return []any{s.ID, l.p.Patients[s.Patient].ID, l.owner(s.Patient), l.p.Appointments[s.Appointment].ID, s.Begin, int32(s.Minutes), s.Service,
			s.PriceCents, l.owner(s.Patient), l.facility(s.Patient), s.Begin}, nil
	})
}

// notes gives each session a note with one version, whose id is derived from the session's.
func (l *loader) notes(ctx context.Context) (int64, error) {
	version := func(i int) uuid.UUID { return uuid.NewSHA1(l.p.Sessions[i].ID, []byte("note")) }
	columns := []string{"session_id", "patient_id", "status", "head", "signed_by", "signed_at", "owner_id", "facility_id", "created_at"}
	n, err := l.copyRows(ctx, "pm.session_note", columns, len(l.p.Sessions), func(i int) ([]any, error) {
		s := l.p.Sessions[i]
		owner := l.owner(s.Patient)
		status, by, at := "draft", any(nil), any(nil)
		if s.Signed {
			status, by, at = "signed", owner, s.Begin.Add(3*time.Hour)
		}
		return []any{s.ID, l.p.Patients[s.Patient].ID, status, version(i), by, at, owner, l.facility(s.Patient), s.Begin}, nil
	})
	if err != nil {
		return n, err
	}
	columns = []string{"id", "session_id", "patient_id", "body", "body_sha256", "op_id", "owner_id", "facility_id", "created_at"}
	m, err := l.copyRows(ctx, "pm.note_version", columns, len(l.p.Sessions), func(i int) ([]any, error) {
		s := l.p.Sessions[i]
		sum := sha256.Sum256([]byte(s.Note))
		return []any{version(i), s.ID, l.p.Patients[s.Patient].ID, s.Note, sum[:], version(i), l.owner(s.Patient), l.facility(s.Patient),
			s.Begin.Add(time.Duration(s.Minutes) * time.Minute)}, nil
	})
	return n + m, err
}

func (l *loader) invoices(ctx context.Context) (int64, error) {
	// The database numbers invoices in the order in which they come.
	columns := []string{"id", "patient_id", "issued_on", "due_on", "recipient", "currency", "total_minor", "status", "owner_id", "facility_id", "created_at"}
	n, err := l.copyRows(ctx, "pm.invoice", columns, len(l.p.Invoices), func(i int) ([]any, error) {
		inv := l.p.Invoices[i]
		p := l.p.Patients[inv.Patient]
		status := "open"
		if inv.Payment != uuid.Nil {
			status = "paid"
		}
		return []any{inv.ID, p.ID, inv.Issued, inv.Issued.AddDate(0, 0, 14), p.GivenName + " " + p.FamilyName, "EUR", inv.Cents, status,
			l.owner(inv.Patient), l.facility(inv.Patient), inv.Issued}, nil
	})
	if err != nil {
		return n, err
	}
	var charges, payments [][]any
	for _, inv := range l.p.Invoices {
		patient, owner, facility := l.p.Patients[inv.Patient].ID, l.owner(inv.Patient), l.facility(inv.Patient)
		for _, c := range inv.Charges {
			s := l.p.Sessions[c.Session]
			charges = append(charges, []any{c.ID, inv.ID, patient, s.ID, s.Begin, s.Service, s.PriceCents, s.PriceCents, owner, facility, inv.Issued})
		}
		if inv.Payment != uuid.Nil {
			payments = append(payments, []any{inv.Payment, inv.ID, patient, inv.Paid, inv.Cents, owner, facility, inv.Paid})
		}
	}
	columns = []string{"id", "invoice_id", "patient_id", "session_id", "performed_on", "description", "unit_minor", "amount_minor", "owner_id", "facility_id", "created_at"}
	m, err := l.copyRows(ctx, "pm.charge", columns, len(charges), func(i int) ([]any, error) { return charges[i], nil })
	if err != nil {
		return n + m, err
	}
	columns = []string{"id", "invoice_id", "patient_id", "received_on", "amount_minor", "owner_id", "facility_id", "created_at"}
	k, err := l.copyRows(ctx, "pm.payment", columns, len(payments), func(i int) ([]any, error) { return payments[i], nil })
	return n + m + k, err
}

func (l *loader) documents(ctx context.Context) (int64, error) {
	columns := []string{"id", "patient_id", "name", "category", "media_type", "size", "sha256", "owner_id", "facility_id", "created_at"}
	n, err := l.copyRows(ctx, "pm.document", columns, len(l.p.Documents), func(i int) ([]any, error) {
		d := l.p.Documents[i]
		sum := sha256.Sum256(d.Content)
		return []any{d.ID, l.p.Patients[d.Patient].ID, d.Name, d.Category, d.MIMEType, int64(len(d.Content)), sum[:], l.owner(d.Patient), l.facility(d.Patient), d.Created}, nil
	})
	if err != nil {
		return n, err
	}
	var chunks [][]any
	for _, d := range l.p.Documents {
		for seq, rest := int32(0), d.Content; len(rest) > 0; seq++ {
			size := min(len(rest), chunkSize)
			chunks = append(chunks, []any{d.ID, seq, rest[:size]})
			rest = rest[size:]
		}
	}
	m, err := l.copyRows(ctx, "pm.document_chunk", []string{"document_id", "seq", "data"}, len(chunks), func(i int) ([]any, error) { return chunks[i], nil })
	return n + m, err
}

// log tells the audit log what came in at once.
func (l *loader) log(ctx context.Context) (int64, error) {
	_, err := l.tx.Exec(ctx, `INSERT INTO audit.entry (module, feature, action, object_kind, reason, new_values)
		VALUES ('records', 'records.patient', 'E', 'bulk_load', 'demo', jsonb_build_object('patients', $1::int, 'sessions', $2::int))`,
		len(l.p.Patients), len(l.p.Sessions))
	return 1, err
}
