// Package accounts adds and lists the people who can sign in.
package accounts

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"practicectl/internal/api"
	"practicectl/server/authn"
	"practicectl/server/authz"
	"practicectl/server/problem"
	"practicectl/server/store"
)

// codeLife is how long an activation code is good; the database enforces the same.
const codeLife = 72 * time.Hour

// Service is the practice's staff list.
type Service struct {
	st  *store.Store
	now func() time.Time
}

// New returns the service over a store. now may be nil.
func New(st *store.Store, now func() time.Time) *Service {
	if now == nil {
		now = time.Now
	}
	return &Service{st: st, now: now}
}

// List returns the accounts, by name: every signed-in person may know who works here.
func (s *Service) List(ctx context.Context, who *authz.Caller) ([]api.Account, error) {
	var out []api.Account
	err := s.st.WithTx(ctx, who.Session, func(tx *store.Tx) error {
		rows, err := tx.Query(ctx, `SELECT a.id, a.number, a.login, a.name, a.title, a.email, a.kind, a.state, a.auth_source,
  ARRAY(SELECT r.role FROM sec.account_role r WHERE r.account_id = a.id ORDER BY 1), a.last_active_at FROM sec.account a ORDER BY pm.fold(a.name), a.id`)
		if err != nil {
			return err
		}
		if out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[api.Account]); err != nil {
			return err
		}
		return tx.Audit(ctx, store.Entry{Feature: authz.Accounts, Action: store.Read, Kind: "account"})
	})
	return out, err
}

var loginShape = regexp.MustCompile(`^[a-z0-9][a-z0-9._@+-]{1,63}$`)

func check(login, name string) error {
	switch {
	case !loginShape.MatchString(login):
		return problem.Field("login", "invalid")
	case name == "" || len(name) > 200 || strings.ContainsRune(name, 0):
		return problem.Field("name", "required")
	}
	return nil
}

// Add makes an account that waits for its person to set a password with the returned code. Problems: Conflict when the
// login is taken, Forbidden, Invalid.
func (s *Service) Add(ctx context.Context, who *authz.Caller, n api.NewAccount) (api.Invitation, error) {
	inv := api.Invitation{ID: store.NewID(), Login: authn.Normal(n.Login)}
	if n.Role == "" {
		n.Role = authz.DefaultRole
	}
	n.Name = strings.TrimSpace(n.Name)
	if err := check(inv.Login, n.Name); err != nil {
		return inv, err
	}
	if len(n.Title) > 100 || len(n.Email) > 200 || strings.ContainsRune(n.Title+n.Email+n.Role, 0) {
		return inv, problem.Field("title", "too_long")
	}
	code, hash, err := authn.NewCode()
	if err != nil {
		return inv, err
	}
	err = who.Do(ctx, s.st, authz.Deed{Feature: authz.Accounts, Action: authz.Add, Kind: "account"}, func(tx *store.Tx) error {
		var known bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM sec.role WHERE key = $1)`, n.Role).Scan(&known); err != nil {
			return err
		}
		if !known {
			return problem.Field("role", "invalid")
		}
		return tx.QueryRow(ctx, `SELECT sec.add_account($1, $2, $3, $4, $5, $6, $7)`, inv.ID, inv.Login, n.Name, n.Title, n.Email, n.Role, hash).Scan(&inv.Number)
	})
	inv.Code, inv.Expires = code, s.now().Add(codeLife).UTC().Truncate(time.Second)
	return inv, err
}

// First makes the practice's first administrator, for whoever administrates the machine; asked again before the code
// is used, it gives a new one. Problems: Locked when there is an administrator already, Invalid.
func (s *Service) First(ctx context.Context, f api.FirstAdmin) (api.Invitation, error) {
	inv := api.Invitation{ID: store.NewID(), Login: authn.Normal(f.Login)}
	f.Name = strings.TrimSpace(f.Name)
	if err := check(inv.Login, f.Name); err != nil {
		return inv, err
	}
	code, hash, err := authn.NewCode()
	if err != nil {
		return inv, err
	}
	err = s.st.WithTx(ctx, store.Session{Device: "admin socket"}, func(tx *store.Tx) error {
		return tx.QueryRow(ctx, `SELECT sec.first_admin($1, $2, $3, $4)`, inv.ID, inv.Login, f.Name, hash).Scan(&inv.Number)
	})
	inv.Code, inv.Expires = code, s.now().Add(codeLife).UTC().Truncate(time.Second)
	return inv, err
}
