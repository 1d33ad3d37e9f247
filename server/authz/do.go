package authz

import (
	"context"
	"time"

	"github.com/google/uuid"

	"practicectl/server/problem"
	"practicectl/server/store"
)

// Deed is what a caller tries to do, as the audit log will name it if it comes to nothing.
type Deed struct {
	Feature string
	Action  Action
	Kind    string    // of the object: "patient"
	Object  uuid.UUID // Nil when a list or new
}

// Do checks the caller's right and runs fn in the caller's transaction. Row triggers log what fn changes; fn itself
// logs what it reads. A deed that is refused or fails is logged in a transaction of its own.
func (c *Caller) Do(ctx context.Context, st *store.Store, d Deed, fn func(*store.Tx) error) error {
	err := c.Require(d.Feature, d.Action)
	if err == nil {
		err = st.WithTx(ctx, c.Session, fn)
	}
	if err != nil {
		c.logFailure(ctx, st, d, err)
	}
	return err
}

func (c *Caller) logFailure(ctx context.Context, st *store.Store, d Deed, err error) {
	outcome, reason := "failed", "error"
	if p := problem.As(err); p != nil {
		reason = string(p.Code)
		switch p.Code {
		case problem.Forbidden, problem.NotFound:
			outcome = "denied"
		case problem.Unavailable:
			return // no database, no log
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	action := map[Action]store.Action{View: store.Read, Add: "C", Edit: "U", Delete: "D"}[d.Action]
	// The caller hears about the first error either way.
	_ = st.AuditFailure(ctx, c.Session, store.Entry{Feature: d.Feature, Action: action, Kind: d.Kind, Object: d.Object, Outcome: outcome, Reason: reason})
}
