package api

import (
	"time"

	"github.com/google/uuid"
)

// Date is a civil date, "2006-01-02"; "" is none.
type Date string

// Patient is the master data of a person who is treated.
type Patient struct {
	ID            uuid.UUID `json:"id"`
	Number        int64     `json:"number"` // short number for people
	FamilyName    string    `json:"family_name"`
	GivenName     string    `json:"given_name"`
	Title         string    `json:"title"`
	Sex           string    `json:"sex"` // "f", "m", "x" or ""
	BirthDate     Date      `json:"birth_date"`
	Street        string    `json:"street"`
	PostalCode    string    `json:"postal_code"`
	City          string    `json:"city"`
	Country       string    `json:"country"`
	Phone         string    `json:"phone"`
	Mobile        string    `json:"mobile"`
	Email         string    `json:"email"`
	Insurer       string    `json:"insurer"`
	InsuranceNo   string    `json:"insurance_no"`
	InsuranceKind string    `json:"insurance_kind"` // "statutory", "private", "self" or ""
	Referrer      string    `json:"referrer"`
	Language      string    `json:"language"`
	Remark        string    `json:"remark"`
	Status        string    `json:"status"` // "active" or "archived"
	OwnerID       uuid.UUID `json:"owner_id"`
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
	Version       int64     `json:"version"` // send it back when changing; an older one is refused with 412
}

// Share is one grant of a record to an account, or to everyone.
type Share struct {
	ID          uuid.UUID  `json:"id"`
	Grantee     *uuid.UUID `json:"grantee"` // nil: everyone, also people who come later
	GranteeName string     `json:"grantee_name"`
	By          uuid.UUID  `json:"by"`
	ByName      string     `json:"by_name"`
	At          time.Time  `json:"at"`
}

// ShareRequest shares a record. It cannot be undone.
type ShareRequest struct {
	Everyone bool        `json:"everyone"`
	Accounts []uuid.UUID `json:"accounts"`
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T    `json:"items"`
	Total int    `json:"total"`          // of all pages; -1 when not counted
	Next  string `json:"next,omitempty"` // give it as "after" to get the next page
}

// Document describes a stored file; its content has its own address.
type Document struct {
	ID        uuid.UUID  `json:"id"`
	PatientID uuid.UUID  `json:"patient_id"`
	SessionID *uuid.UUID `json:"session_id"`
	Name      string     `json:"name"`
	Category  string     `json:"category"`
	MediaType string     `json:"media_type"`
	Size      int64      `json:"size"` // bytes
	SHA256    string     `json:"sha256"`
	OwnerID   uuid.UUID  `json:"owner_id"`
	CreatedAt time.Time  `json:"created_at"`
	Version   int64      `json:"version"`
}
