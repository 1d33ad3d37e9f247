// Package uerr is the error a person reads: what was being done, to what, why it failed and the next command to type.
//
// Every product package returns these at its edge. The kind decides the exit code of practicectl; the table in
// [Kinds] is the only place where the two meet.
package uerr

import (
	"context"
	"errors"
	"strings"
)

// Kind classifies an error for scripts. Its exit code never changes once released.
type Kind int

// The kinds, in the order of their exit codes.
const (
	Failed      Kind = iota // unclassified failure
	Incomplete              // finished, but some item could not be done
	Declined                // cancelled by the user at a prompt
	NotFound                // not installed, or repository or backup not found
	Locked                  // another run holds the lock
	Auth                    // wrong key or wrong credentials
	Integrity               // signature, checksum, tampering
	Precond                 // a precondition of the operation does not hold
	Unreachable             // remote unreachable or timed out; worth trying again
	NoSpace                 // not enough space or quota
	Fenced                  // fenced, stale term, split-brain refusal
	LossGuard               // refused because data would be lost
	NeedConfirm             // a confirmation is needed and nobody can be asked
	Pending                 // a dry run found changes to make
	Overdue                 // the last success is older than allowed
	CorruptPage             // a page of the source database is corrupt
	WALGap                  // write-ahead log is missing
	WeakLock                // object lock is weaker than the policy asks for
	Usage                   // wrong command line
	Config                  // wrong configuration
	Interrupted             // SIGINT
	Terminated              // SIGTERM
)

// KindInfo is one row of the exit-code table.
type KindInfo struct {
	Kind    Kind
	Exit    int
	Name    string // stable machine name, used in JSON errors
	Meaning string // one line for `help exit-codes`
}

// Kinds is the exit-code table of the product, in the order of the codes. Exit 0 is success and exit 2 a crash of
// the Go runtime; neither is a Kind.
var Kinds = []KindInfo{
	{Failed, 1, "failed", "failed, unclassified"},
	{Incomplete, 3, "incomplete", "finished but incomplete (some item unreadable, verify skipped)"},
	{Declined, 4, "declined", "cancelled by the user at a prompt"},
	{NotFound, 10, "not-found", "not installed, or repository or backup not found"},
	{Locked, 11, "locked", "locked by another run (owner in the message)"},
	{Auth, 12, "auth", "wrong key or authentication failed"},
	{Integrity, 13, "integrity", "integrity: signature, checksum or tampering"},
	{Precond, 14, "precondition", "preflight or precondition failed"},
	{Unreachable, 15, "unreachable", "remote unreachable or timed out; try again later"},
	{NoSpace, 16, "no-space", "not enough space or quota"},
	{Fenced, 17, "fenced", "fenced, stale term or split-brain refusal"},
	{LossGuard, 18, "loss-guard", "refused: data would be lost"},
	{NeedConfirm, 19, "needs-confirmation", "confirmation needed (no terminal and no --yes or --confirm)"},
	{Pending, 20, "changes-pending", "plan has pending changes (--dry-run --detailed-exitcode)"},
	{Overdue, 21, "overdue", "overdue: last success older than allowed"},
	{CorruptPage, 22, "corrupt-page", "a page of the source database is corrupt"},
	{WALGap, 23, "wal-gap", "write-ahead log is missing"},
	{WeakLock, 24, "weak-lock", "object lock weaker than the policy"},
	{Usage, 64, "usage", "usage error"},
	{Config, 65, "config", "configuration invalid"},
	{Interrupted, 130, "interrupted", "interrupted (SIGINT)"},
	{Terminated, 143, "terminated", "terminated (SIGTERM)"},
}

// Info returns the row of k.
func (k Kind) Info() KindInfo {
	for _, r := range Kinds {
		if r.Kind == k {
			return r
		}
	}
	return Kinds[0]
}

func (k Kind) String() string { return k.Info().Name }

// Error is an error for a person. Neither Op, Subject, Hint nor Err may carry patient data, secrets or key material.
type Error struct {
	Kind    Kind
	Op      string // what was being done, in the user's words: "open the backup repository"
	Subject string // to what: a path, a component, a snapshot id
	Hint    string // the next command to type, or what to change
	Err     error  // why
}

// Error returns "Op Subject: cause" without the hint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Subject != "" {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(e.Subject)
	}
	if e.Err != nil {
		switch {
		case strings.HasSuffix(b.String(), ":"): // an Op such as "backup run refused:" without a subject
			b.WriteByte(' ')
		case b.Len() > 0:
			b.WriteString(": ")
		}
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of kind k. Hint may be empty.
func New(k Kind, op, subject string, err error, hint string) *Error {
	return &Error{Kind: k, Op: op, Subject: subject, Err: err, Hint: hint}
}

// KindOf returns the kind of the outermost Error in err's chain. A cancelled context is Interrupted and an expired
// one Unreachable; everything else is Failed.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled):
		return Interrupted
	case errors.Is(err, context.DeadlineExceeded):
		return Unreachable
	}
	return Failed
}

// HintOf returns the first hint found in err's chain, outermost first.
func HintOf(err error) string {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}

// FromExit makes an error of the kind that another run of practicectl ended with.
func FromExit(exit int, op string, err error, hint string) *Error {
	for _, r := range Kinds {
		if r.Exit == exit {
			return New(r.Kind, op, "", err, hint)
		}
	}
	return New(Failed, op, "", err, hint)
}

// ExitCode returns the exit code of practicectl for err; 0 for nil.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	return KindOf(err).Info().Exit
}
