// Package progress is how long work tells what it is doing, without knowing whether anyone watches.
package progress

// Unit says what a task counts.
type Unit int

// The units.
const (
	Items Unit = iota
	Bytes
)

// Reporter receives the progress of one operation. Implementations are safe for concurrent use.
type Reporter interface {
	// Task begins a named part of the work; total 0 means unknown.
	Task(name string, unit Unit, total int64) Task
	// Note says one finished fact, such as "restored 3 segments".
	Note(format string, args ...any)
	// Warn says something the user should look at although the work goes on.
	Warn(format string, args ...any)
}

// Task counts one part of the work. Done must be called exactly once.
type Task interface {
	Add(n int64)
	Grow(n int64) // adds to the total, for work discovered on the way
	Done()
}

// None reports nothing.
var None Reporter = none{}

type none struct{}

func (none) Task(string, Unit, int64) Task { return none{} }
func (none) Note(string, ...any)           {}
func (none) Warn(string, ...any)           {}
func (none) Add(int64)                     {}
func (none) Grow(int64)                    {}
func (none) Done()                         {}
