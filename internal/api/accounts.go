package api

import (
	"time"

	"github.com/google/uuid"
)

// Account is somebody who can sign in.
type Account struct {
	ID           uuid.UUID  `json:"id"`
	Number       int        `json:"number"` // suffix of the reference numbers they create
	Login        string     `json:"login"`
	Name         string     `json:"name"`
	Title        string     `json:"title"`
	Email        string     `json:"email"`
	Kind         string     `json:"kind"`  // "staff" or "client"
	State        string     `json:"state"` // "invited", "active" or "disabled"
	AuthSource   string     `json:"auth_source"`
	Roles        []string   `json:"roles"`
	LastActiveAt *time.Time `json:"last_active_at"`
}

// NewAccount is a request to add an account.
type NewAccount struct {
	Login string `json:"login"`
	Name  string `json:"name"`
	Title string `json:"title,omitempty"`
	Email string `json:"email,omitempty"`
	Role  string `json:"role,omitempty"` // "": member
}

// Invitation is the answer to NewAccount. The code is shown once; with it the person sets a password nobody else knows.
type Invitation struct {
	ID      uuid.UUID `json:"id"`
	Number  int       `json:"number"`
	Login   string    `json:"login"`
	Code    string    `json:"code"`
	Expires time.Time `json:"expires"`
}

// FirstAdmin is a request on the local administration socket to make the practice's first administrator.
type FirstAdmin struct {
	Login string `json:"login"`
	Name  string `json:"name"`
}
