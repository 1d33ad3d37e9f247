// Package authz says what features exist and what a signed-in person may do with them.
//
// The rules are rows in the database (schema sec) and are enforced there by row security. This package is the same
// knowledge in Go: the registry that the rows must equal, and a [Caller]'s rights as the database told them at the start
// of a request, so that a screen can hide what would be refused and a refusal is a clean 403.
package authz

import (
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"practicectl/server/problem"
	"practicectl/server/store"
)

// Action is one of the four things a group allows with a feature.
type Action string

// The actions.
const (
	View   Action = "view"
	Add    Action = "add"
	Edit   Action = "edit"
	Delete Action = "delete"
)

// Scope says which rows of a feature a person's roles reach.
type Scope string

// The scopes.
const (
	ScopeNone        Scope = "none"
	ScopeOwnOrShared Scope = "own_or_shared"
	ScopeAll         Scope = "all"
)

// The features.
const (
	Patients     = "records.patient"
	Shares       = "records.share"
	Documents    = "records.document"
	Appointments = "schedule.appointment"
	Sessions     = "charting.session"
	Notes        = "charting.note"
	Invoices     = "finance.invoice"
	Charges      = "finance.charge"
	Payments     = "finance.payment"
	Statistics   = "reports.statistics"
	Accounts     = "admin.account"
	Facilities   = "admin.facility"
	Settings     = "admin.setting"
	AuditLog     = "audit.entry"
)

// Account is who a caller is.
type Account struct {
	ID      uuid.UUID `json:"id"`
	Number  int       `json:"number"`
	Login   string    `json:"login"`
	Name    string    `json:"name"`
	Title   string    `json:"title"`
	Kind    string    `json:"kind"` // "staff" or "client"
	Roles   []string  `json:"roles"`
	Modules []string  `json:"modules"`
}

// Grant is what a caller may do with one feature.
type Grant struct {
	Scope   Scope    `json:"scope"`
	Actions []Action `json:"actions"`
}

// Caller is a signed-in person in one request.
type Caller struct {
	store.Session
	Account Account
	Grants  map[string]Grant // by feature
	Idle    time.Duration    // after this long without a deed the session ends
}

// Can reports whether the caller may do an action of a feature on at least some rows.
func (c *Caller) Can(feature string, a Action) bool {
	return slices.Contains(c.Grants[feature].Actions, a)
}

// Scope is the rows of a feature that the caller reaches.
func (c *Caller) Scope(feature string) Scope {
	if g, ok := c.Grants[feature]; ok {
		return g.Scope
	}
	return ScopeNone
}

// Require returns a Forbidden problem unless the caller may do the action.
func (c *Caller) Require(feature string, a Action) error {
	if c.Can(feature, a) {
		return nil
	}
	return problem.New(problem.Forbidden, errors.New(feature+" "+string(a)))
}

// HasModule reports whether the caller may enter a client module such as "clinical".
func (c *Caller) HasModule(name string) bool {
	return slices.Contains(c.Account.Modules, name) || c.HasRole("group_admin")
}

// HasRole reports whether the caller has a role.
func (c *Caller) HasRole(key string) bool { return slices.Contains(c.Account.Roles, key) }
