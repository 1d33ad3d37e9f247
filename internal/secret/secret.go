// Package secret holds text that redacts itself wherever it could be printed: fmt, JSON and slog.
package secret

import "log/slog"

const redacted = "[redacted]"

// Text is a password, token or key. Only [Text.Reveal] gives it away.
type Text struct{ s string }

// New wraps s.
func New(s string) Text { return Text{s} }

// Reveal returns the text itself. Pass it straight to what needs it.
func (t Text) Reveal() string { return t.s }

// Empty reports whether there is no secret.
func (t Text) Empty() bool { return t.s == "" }

// String redacts.
func (t Text) String() string { return redacted }

// GoString redacts under %#v.
func (t Text) GoString() string { return redacted }

// MarshalText redacts in JSON, TOML and XML.
func (t Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue redacts in slog.
func (t Text) LogValue() slog.Value { return slog.StringValue(redacted) }
