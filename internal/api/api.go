// Package api is the JSON that server, client and relay speak: types only, and one small client for the server's HTTPS API.
//
// Unknown fields in a request are errors. Times are RFC 3339 in UTC, amounts are in minor units (cents), identifiers are
// UUIDs.
package api

import "github.com/google/uuid"

// Error is the body of every answer that is not a success.
type Error struct {
	Code    string            `json:"code"`             // machine name: not_found, forbidden, stale, taken, …
	Reason  string            `json:"reason,omitempty"` // of sign_in: idle, displaced, revoked, expired, unknown
	Message string            `json:"message"`
	Fields  map[string]string `json:"fields,omitempty"`  // of invalid: field → what is wrong
	Current any               `json:"current,omitempty"` // of stale: what is there now
	Request string            `json:"request,omitempty"` // the request's id, as in the log
}

// SignIn is a request to sign in.
type SignIn struct {
	Login    string `json:"login"`
	Password string `json:"password"`
	Device   string `json:"device,omitempty"` // shown in the person's list of sign-ins
	Bearer   bool   `json:"bearer,omitempty"` // true: the answer carries the token; false: a browser gets a cookie
}

// SignedIn is the answer to SignIn.
type SignedIn struct {
	Token string `json:"token,omitempty"` // for "Authorization: Bearer …"
}

// Activate sets the password of an account with its one-time code.
type Activate struct {
	Login    string `json:"login"`
	Code     string `json:"code"`
	Password string `json:"password"`
}

// ChangePassword replaces the caller's own password.
type ChangePassword struct {
	Old string `json:"old"`
	New string `json:"new"`
}

// VersionOnly names the version that a change is based on.
type VersionOnly struct {
	Version int64 `json:"version"`
}

// Me says who is signed in and what they may do.
type Me struct {
	ID      uuid.UUID        `json:"id"`
	Number  int              `json:"number"`
	Login   string           `json:"login"`
	Name    string           `json:"name"`
	Roles   []string         `json:"roles"`
	Modules []string         `json:"modules"`
	Grants  map[string]Grant `json:"grants"` // by feature
}

// Grant is what one may do with a feature.
type Grant struct {
	Scope   string   `json:"scope"`
	Actions []string `json:"actions"`
}
