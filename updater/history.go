package updater

import (
	"context"
	"time"

	"practicectl/internal/steps"
	"practicectl/internal/uerr"
)

// Entry is one update or rollback in the history. The journal that it is read from is hash-chained: a changed or missing
// line is found.
type Entry struct {
	ID         string     `json:"id"`
	When       time.Time  `json:"when"`
	Ended      time.Time  `json:"ended,omitzero"`
	Transition Transition `json:"transition"`
	Outcome    string     `json:"outcome"`          // "committed", "rolled back" or "unfinished"
	Step       string     `json:"step,omitempty"`   // the step that failed
	Reason     string     `json:"reason,omitempty"` // why it was rolled back
}

// History returns every update and rollback, oldest first. Error kind: Integrity when the chain is broken.
func (u *Updater) History() ([]Entry, error) {
	txns, err := steps.Read(u.o.Journal)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(txns))
	for i := range txns {
		t, err := fromParams(txns[i].Params)
		if err != nil {
			return nil, uerr.New(uerr.Integrity, "read the history of updates", u.o.Journal, err, "")
		}
		e := Entry{ID: txns[i].ID, When: txns[i].Begun, Ended: txns[i].Ended, Transition: t, Outcome: txns[i].Outcome,
			Step: txns[i].FailedIn, Reason: txns[i].Failure}
		if e.Outcome == steps.RolledBack.String() && e.Reason == "" {
			e.Reason = interrupted
		}
		entries = append(entries, e)
	}
	return entries, nil
}

const interrupted = "interrupted"

// unwanted returns the versions that an unattended update must not try again, with the reason: those that failed and those
// that somebody rolled back from. A crash or an interruption is not a version's fault.
func unwanted(history []Entry) map[string]string {
	skip := map[string]string{}
	for _, e := range history {
		t := e.Transition
		switch {
		case t.Action == ActionUpdate && e.Outcome == steps.Committed.String():
			delete(skip, t.To)
		case t.Action == ActionUpdate && e.Outcome == steps.RolledBack.String() && blames(e):
			skip[t.To] = "failed on " + e.When.Format(time.DateOnly) + " in step " + e.Step
		case t.Action == ActionRollback && e.Outcome == steps.Committed.String():
			skip[t.From] = "rolled back by hand on " + e.When.Format(time.DateOnly)
		}
	}
	return skip
}

// blames reports whether the failure may come from the version itself.
func blames(e Entry) bool {
	if e.Reason == context.Canceled.Error() || e.Reason == context.DeadlineExceeded.Error() {
		return false
	}
	switch e.Step {
	case stepMigrate, stepMaintenance, stepProbe:
		return true
	}
	return false
}
