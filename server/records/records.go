// Package records keeps the master data of patients and says whom a record is shared with.
//
// Every method acts for a signed-in [authz.Caller]: rows that the caller may not see do not exist, changes name the
// version that they are based on, and each read and change is in the audit log before the caller gets an answer.
package records

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/problem"
	"practicectl/server/store"
)

// Service is the patients' records.
type Service struct{ st *store.Store }

// New returns the service over a store.
func New(st *store.Store) *Service { return &Service{st: st} }

const columns = `id, number, family_name, given_name, title, sex, coalesce(birth_date::text, ''), street, postal_code, city, country,
  phone, mobile, email, insurer, insurance_no, insurance_kind, referrer, language, remark, status, owner_id, created_at, updated_at, version`

// Query selects patients.
type Query struct {
	Text     string // words of name, city or e-mail, a birth date ("24.12.1980", "1980-12-24") or a number; umlauts and accents do not matter
	Archived bool   // also archived ones
	Limit    int    // 0: 50; at most 500
	Offset   int
}

// Search lists the caller's visible patients, sorted by name. Page.Next is the next offset.
func (s *Service) Search(ctx context.Context, who *authz.Caller, q Query) (api.Page[api.Patient], error) {
	page := api.Page[api.Patient]{Items: []api.Patient{}}
	if q.Limit <= 0 {
		q.Limit = 50
	}
	q.Limit = min(q.Limit, 500)
	words, number, born := parse(q.Text)
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Patients, Action: authz.View, Kind: "patient"}, func(tx *store.Tx) error {
		const where = ` FROM pm.patient WHERE ($1 OR status = 'active')
  AND search_key LIKE ALL (ARRAY(SELECT '%' || pm.fold(w) || '%' FROM unnest($2::text[]) w))
  AND ($3 = 0 OR number = $3) AND ($4 = '' OR birth_date = nullif($4, '')::date)`
		if err := tx.QueryRow(ctx, `SELECT count(*)`+where, q.Archived, words, number, born).Scan(&page.Total); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT `+columns+where+` ORDER BY search_key, id LIMIT $5 OFFSET $6`, q.Archived, words, number, born, q.Limit, max(q.Offset, 0))
		if err != nil {
			return err
		}
		if page.Items, err = pgx.CollectRows(rows, pgx.RowToStructByPos[api.Patient]); err != nil {
			return err
		}
		ids := make([]uuid.UUID, len(page.Items))
		for i, p := range page.Items {
			ids[i] = p.ID
		}
		return tx.Audit(ctx, store.Entry{Feature: authz.Patients, Action: store.Read, Kind: "patient", Objects: ids})
	})
	if n := max(q.Offset, 0) + len(page.Items); n < page.Total {
		page.Next = strconv.Itoa(n)
	}
	return page, err
}

// parse sorts the words of a search into name words, a patient number and a birth date.
func parse(text string) (words []string, number int64, born string) {
	words = []string{}
	for _, w := range strings.Fields(text) {
		if d, ok := parseDate(w); ok {
			born = d
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimPrefix(w, "#"), 10, 64); err == nil && n > 0 {
			number = n
			continue
		}
		words = append(words, strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.Trim(w, ",;")))
	}
	return words, number, born
}

func parseDate(w string) (string, bool) {
	for _, layout := range []string{time.DateOnly, "2.1.2006", "2/1/2006"} {
		if t, err := time.Parse(layout, w); err == nil {
			return t.Format(time.DateOnly), true
		}
	}
	return "", false
}

// Get returns one patient. Problems: NotFound, Forbidden.
func (s *Service) Get(ctx context.Context, who *authz.Caller, id uuid.UUID) (api.Patient, error) {
	var p api.Patient
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Patients, Action: authz.View, Kind: "patient", Object: id}, func(tx *store.Tx) (err error) {
		if p, err = read(ctx, tx, id); err != nil {
			return err
		}
		return tx.Audit(ctx, store.Entry{Feature: authz.Patients, Action: store.Read, Kind: "patient", Object: id, Patient: id})
	})
	return p, err
}

func read(ctx context.Context, tx *store.Tx, id uuid.UUID) (api.Patient, error) {
	rows, err := tx.Query(ctx, `SELECT `+columns+` FROM pm.patient WHERE id = $1`, id)
	if err != nil {
		return api.Patient{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[api.Patient])
}

// Create adds a patient, owned by the caller. Problems: Invalid, Forbidden.
func (s *Service) Create(ctx context.Context, who *authz.Caller, p api.Patient) (api.Patient, error) {
	p.ID = store.NewID()
	if p.Status == "" {
		p.Status = "active"
	}
	if err := check(&p); err != nil {
		return p, err
	}
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Patients, Action: authz.Add, Kind: "patient"}, func(tx *store.Tx) (err error) {
		if _, err = tx.Exec(ctx, `INSERT INTO pm.patient (id, family_name, given_name, title, sex, birth_date, street, postal_code, city, country, phone, mobile, email,
  insurer, insurance_no, insurance_kind, referrer, language, remark, status, owner_id)
VALUES ($1, $2, $3, $4, $5, nullif($6::text, '')::date, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`,
			p.ID, p.FamilyName, p.GivenName, p.Title, p.Sex, string(p.BirthDate), p.Street, p.PostalCode, p.City, p.Country, p.Phone, p.Mobile, p.Email,
			p.Insurer, p.InsuranceNo, p.InsuranceKind, p.Referrer, p.Language, p.Remark, p.Status, who.Account.ID); err != nil {
			return err
		}
		p, err = read(ctx, tx, p.ID)
		return err
	})
	return p, err
}

// Update replaces the master data of p.ID as it was at p.Version. Problems: NotFound, Forbidden, Stale, Invalid.
func (s *Service) Update(ctx context.Context, who *authz.Caller, p api.Patient) (api.Patient, error) {
	if err := check(&p); err != nil {
		return p, err
	}
	err := who.Do(ctx, s.st, authz.Deed{Feature: authz.Patients, Action: authz.Edit, Kind: "patient", Object: p.ID}, func(tx *store.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE pm.patient SET family_name = $3, given_name = $4, title = $5, sex = $6, birth_date = nullif($7::text, '')::date, street = $8,
  postal_code = $9, city = $10, country = $11, phone = $12, mobile = $13, email = $14, insurer = $15, insurance_no = $16, insurance_kind = $17, referrer = $18,
  language = $19, remark = $20, status = $21 WHERE id = $1 AND version = $2`,
			p.ID, p.Version, p.FamilyName, p.GivenName, p.Title, p.Sex, string(p.BirthDate), p.Street, p.PostalCode, p.City, p.Country, p.Phone, p.Mobile, p.Email,
			p.Insurer, p.InsuranceNo, p.InsuranceKind, p.Referrer, p.Language, p.Remark, p.Status)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return tx.WhyUnchanged(ctx, "pm.patient", "id", p.ID, p.Version)
		}
		p, err = read(ctx, tx, p.ID)
		return err
	})
	return p, err
}

// check trims p and says which fields are wrong.
func check(p *api.Patient) error {
	bad := map[string]string{}
	for _, f := range []*string{&p.FamilyName, &p.GivenName, &p.Title, &p.Street, &p.PostalCode, &p.City, &p.Country, &p.Phone, &p.Mobile, &p.Email,
		&p.Insurer, &p.InsuranceNo, &p.Referrer} {
		*f = strings.TrimSpace(*f)
	}
	if p.FamilyName == "" {
		bad["family_name"] = "required"
	}
	for name, v := range map[string]string{"family_name": p.FamilyName, "given_name": p.GivenName, "title": p.Title, "street": p.Street, "postal_code": p.PostalCode,
		"city": p.City, "country": p.Country, "phone": p.Phone, "mobile": p.Mobile, "email": p.Email, "insurer": p.Insurer, "insurance_no": p.InsuranceNo,
		"referrer": p.Referrer, "language": p.Language} {
		if len(v) > 200 {
			bad[name] = "too_long"
		}
		if strings.ContainsRune(v, 0) {
			bad[name] = "invalid"
		}
	}
	if len(p.Remark) > 10000 || strings.ContainsRune(p.Remark, 0) {
		bad["remark"] = "too_long"
	}
	if p.BirthDate != "" {
		if t, err := time.Parse(time.DateOnly, string(p.BirthDate)); err != nil || t.Year() < 1851 {
			bad["birth_date"] = "invalid"
		}
	}
	oneOf(bad, "sex", p.Sex, "", "f", "m", "x")
	oneOf(bad, "insurance_kind", p.InsuranceKind, "", "statutory", "private", "self")
	oneOf(bad, "status", p.Status, "active", "archived")
	if len(bad) > 0 {
		return &problem.Error{Code: problem.Invalid, Fields: bad}
	}
	return nil
}

func oneOf(bad map[string]string, field, v string, allowed ...string) {
	for _, a := range allowed {
		if v == a {
			return
		}
	}
	bad[field] = "invalid"
}
