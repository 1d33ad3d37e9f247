package api

import (
	"time"

	"github.com/google/uuid"
)

// Session is a treatment: when, how long, at what price. What was said is in its Note.
type Session struct {
	ID             uuid.UUID  `json:"id"`
	PatientID      uuid.UUID  `json:"patient_id"`
	PatientName    string     `json:"patient_name"` // in lists; "" when the caller may not see the patient
	PractitionerID uuid.UUID  `json:"practitioner_id"`
	AppointmentID  *uuid.UUID `json:"appointment_id"`
	HeldAt         time.Time  `json:"held_at"`
	DurationMin    int        `json:"duration_min"`
	Kind           string     `json:"kind"`
	Code           string     `json:"code"` // billing code
	PriceMinor     int64      `json:"price_minor"`
	Status         string     `json:"status"` // planned, held, missed, cancelled
	Billed         bool       `json:"billed"` // on an invoice that the caller may see
	OwnerID        uuid.UUID  `json:"owner_id"`
	CreatedAt      time.Time  `json:"created_at"`
	Version        int64      `json:"version"`
}

// Note is the newest text of a session's note.
type Note struct {
	SessionID uuid.UUID  `json:"session_id"`
	PatientID uuid.UUID  `json:"patient_id"`
	Status    string     `json:"status"` // "none", "draft" or "signed"
	Head      *uuid.UUID `json:"head"`   // version of Body; send it back as base when saving
	Body      string     `json:"body"`
	AuthorID  *uuid.UUID `json:"author_id"`
	SavedAt   *time.Time `json:"saved_at"`
	SignedBy  *uuid.UUID `json:"signed_by"`
	SignedAt  *time.Time `json:"signed_at"`
	Versions  int        `json:"versions"`
}

// NoteSave is a new version of a note.
type NoteSave struct {
	Base *uuid.UUID `json:"base"`  // version that the text was written upon; nil for the first
	Op   uuid.UUID  `json:"op_id"` // the writer's own id of this save: a retry with the same one changes nothing
	Body string     `json:"body"`
}

// NoteVersion is one version in a note's history.
type NoteVersion struct {
	ID       uuid.UUID   `json:"id"`
	Parents  []uuid.UUID `json:"parents"`
	Body     string      `json:"body"`
	SHA256   string      `json:"sha256"`
	AuthorID uuid.UUID   `json:"author_id"`
	SavedAt  time.Time   `json:"saved_at"`
}

// NoteSign signs a version; after that the note cannot change.
type NoteSign struct {
	Head uuid.UUID `json:"head"`
}
