// Package problem is what the server answers when it cannot do what was asked: one code a kind, safe to show.
//
// Domain services return *Error; server/api turns it into a status and JSON, server/web into a screen. No Error carries
// patient data.
package problem

import (
	"errors"
	"net/http"
	"time"
)

// Code is the machine name of a problem; clients decide by it.
type Code string

// The codes of the response contract.
const (
	NotFound    Code = "not_found"    // the row is not there, or not visible: nobody can tell which
	Forbidden   Code = "forbidden"    // visible, but feature, module or field is denied
	Stale       Code = "stale"        // somebody else changed it since it was read
	Conflict    Code = "conflict"     // the wish clashes with what is there
	Taken       Code = "taken"        // practitioner or room has another appointment then
	Locked      Code = "locked"       // signed, posted or otherwise final
	Invalid     Code = "invalid"      // the input is wrong; Fields says where
	TooLarge    Code = "too_large"    // the body is longer than allowed
	SignIn      Code = "sign_in"      // not signed in; Reason says why
	Refused     Code = "refused"      // wrong login, password or code
	Throttled   Code = "throttled"    // too many failed attempts; RetryAfter says how long
	Unavailable Code = "unavailable"  // maintenance, or the database is away
	CrossOrigin Code = "cross_origin" // a request forged by another site
)

// Error is a problem.
type Error struct {
	Code       Code
	Reason     string            // of SignIn: idle, displaced, revoked, expired, unknown
	Fields     map[string]string // of Invalid: field → what is wrong (message key)
	RetryAfter time.Duration     // of Throttled
	Err        error             // for the log only
}

// New returns a problem with a cause for the log.
func New(c Code, err error) *Error { return &Error{Code: c, Err: err} }

// Field returns an Invalid problem of one field.
func Field(field, message string) *Error {
	return &Error{Code: Invalid, Fields: map[string]string{field: message}}
}

// Error names the code only: the cause may quote data.
func (e *Error) Error() string {
	if e.Reason != "" {
		return string(e.Code) + " (" + e.Reason + ")"
	}
	return string(e.Code)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// As returns err as a problem, or nil.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// Is reports whether err is a problem of code c.
func Is(err error, c Code) bool {
	e := As(err)
	return e != nil && e.Code == c
}

var statuses = map[Code]int{
	NotFound: http.StatusNotFound, Forbidden: http.StatusForbidden, Stale: http.StatusPreconditionFailed, Conflict: http.StatusConflict,
	Taken: http.StatusConflict, Locked: http.StatusConflict, Invalid: http.StatusUnprocessableEntity, TooLarge: http.StatusRequestEntityTooLarge,
	SignIn: http.StatusUnauthorized, Refused: http.StatusUnauthorized, Throttled: http.StatusTooManyRequests,
	Unavailable: http.StatusServiceUnavailable, CrossOrigin: http.StatusForbidden,
}

// Status is the HTTP status of c.
func (c Code) Status() int {
	if s, ok := statuses[c]; ok {
		return s
	}
	return http.StatusInternalServerError
}
