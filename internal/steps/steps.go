// Package steps runs a list of steps under a journal that survives a crash: every step is done, or every done step
// is undone.
package steps

import "context"

// State is what Check finds.
type State int

// The states a step can find itself in before it is applied.
const (
	Change    State = iota // Apply has something to do
	Satisfied              // nothing to do
	Blocked                // cannot be done now; Check's error says why
)

// Step is one thing that can be checked, planned, applied, undone and verified. Apply and Undo must be idempotent: after
// a crash they run again on whatever the first try left behind.
type Step interface {
	Name() string // stable, unique in the list: the journal knows steps by it
	// Check looks at the machine without changing it.
	Check(ctx context.Context) (State, error)
	// Plan says in one line, in the imperative, what Apply would do.
	Plan() string
	Apply(ctx context.Context) error
	// Undo brings back the state before Apply, however far Apply got.
	Undo(ctx context.Context) error
	// Verify proves that the step holds now.
	Verify(ctx context.Context) error
}

// Outcome is how a run ended.
type Outcome int

// The outcomes.
const (
	Committed  Outcome = iota // every step holds
	RolledBack                // a step failed and everything done was undone
	Stuck                     // an undo failed too; the journal says where
)

func (o Outcome) String() string { return [...]string{"committed", "rolled back", "stuck"}[o] }
