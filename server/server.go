// Package server is the practice-management server: its domain services in one place.
//
// The sub-packages, from the bottom up:
//
//	problem    what a request is answered with when it fails
//	store      the database: transactions under row security, migrations
//	authz      features and rights; Caller is a signed-in person in one request
//	authn      passwords, sign-in, sessions
//	accounts   people who can sign in
//	records    patients and sharing     schedule   appointments     charting  sessions and notes
//	finance    invoices and payments    documents  files
//	gate       the way in over HTTP: cookie → Caller, forged requests refused
//	api, web   JSON and screens over the same services
//	ready      what must hold before users are let in
package server

import (
	"time"

	"practicectl/server/accounts"
	"practicectl/server/authn"
	"practicectl/server/charting"
	"practicectl/server/documents"
	"practicectl/server/finance"
	"practicectl/server/records"
	"practicectl/server/schedule"
	"practicectl/server/store"
)

// Services is everything that handlers work with. Methods take a context, the caller, and plain values; they return
// *problem.Error for what a person did wrong and log to the audit log by themselves.
type Services struct {
	Store     *store.Store
	Authn     *authn.Service
	Accounts  *accounts.Service
	Records   *records.Service
	Schedule  *schedule.Service
	Charting  *charting.Service
	Finance   *finance.Service
	Documents *documents.Service
}

// New wires the services over one store. now may be nil.
func New(st *store.Store, now func() time.Time) *Services {
	return &Services{
		Store:     st,
		Authn:     authn.New(st, authn.Options{Now: now}),
		Accounts:  accounts.New(st, now),
		Records:   records.New(st),
		Schedule:  schedule.New(st),
		Charting:  charting.New(st),
		Finance:   finance.New(st),
		Documents: documents.New(st),
	}
}
