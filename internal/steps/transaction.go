package steps

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Transaction is one run of a list of steps as the journal tells it, however many processes it took.
type Transaction struct {
	ID       string            `json:"id"`
	Job      string            `json:"job"`
	Params   map[string]string `json:"params,omitempty"`
	Steps    []string          `json:"steps"`
	Begun    time.Time         `json:"begun"`
	Ended    time.Time         `json:"ended,omitzero"` // zero while unfinished
	Outcome  string            `json:"outcome"`        // "unfinished", "committed" or "rolled back"
	Failure  string            `json:"failure,omitempty"`
	FailedIn string            `json:"failed_in,omitempty"` // the step that failed
	Back     bool              `json:"-"`                   // it has begun to go back
	events   map[string]Event  // last event of each step
	touched  []string          // steps whose Apply was begun, in order
}

// Finished reports whether the transaction has ended.
func (t *Transaction) Finished() bool { return !t.Ended.IsZero() }

// State returns the last event of a step; empty when the transaction has not come to it.
func (t *Transaction) State(step string) Event { return t.events[step] }

// Unfinished returns the transaction that a crash or a failed undo left open, or nil.
func (j *Journal) Unfinished() *Transaction {
	if t := j.current(); t != nil {
		c := t.clone()
		return &c
	}
	return nil
}

// History returns all transactions, oldest first.
func (j *Journal) History() []Transaction {
	all := make([]Transaction, len(j.txns))
	for i, t := range j.txns {
		all[i] = t.clone()
	}
	return all
}

func (t *Transaction) clone() Transaction {
	c := *t
	c.Params, c.Steps, c.events, c.touched = maps.Clone(t.Params), slices.Clone(t.Steps), maps.Clone(t.events), slices.Clone(t.touched)
	return c
}

func (j *Journal) current() *Transaction {
	if n := len(j.txns); n > 0 && !j.txns[n-1].Finished() {
		return j.txns[n-1]
	}
	return nil
}

// take applies one record to what is known.
func (j *Journal) take(r Record) error {
	t := j.current()
	if r.Event == EventBegin {
		if t != nil {
			return errors.New("a transaction begins inside another")
		}
		j.txns = append(j.txns, &Transaction{ID: r.Txn, Job: r.Job, Params: r.Params, Steps: r.Steps, Begun: r.Time, Outcome: "unfinished", events: map[string]Event{}})
		return nil
	}
	if t == nil || t.ID != r.Txn {
		return fmt.Errorf("%q outside its transaction", r.Event)
	}
	switch r.Event {
	case EventSatisfied, EventDone, EventUndoing, EventUndone, EventDoing:
		if !slices.Contains(t.Steps, r.Step) {
			return fmt.Errorf("step %q is not in the plan", r.Step)
		}
		t.events[r.Step] = r.Event
		if r.Event == EventDoing && !slices.Contains(t.touched, r.Step) {
			t.touched = append(t.touched, r.Step)
		}
		t.Back = t.Back || r.Event == EventUndoing
	case EventFailed:
		t.Back, t.Failure, t.FailedIn = true, r.Note, r.Step
	case EventStuck:
		t.Back = true
	case EventCommitted:
		t.Ended, t.Outcome = r.Time, Committed.String()
	case EventRolledBack:
		t.Ended, t.Outcome = r.Time, RolledBack.String()
	default:
		return fmt.Errorf("unknown event %q", r.Event)
	}
	return nil
}
