package steps

import "context"

// Func is a [Step] made of functions. Do is required; a nil On means "always something to do", a nil Revert "nothing to
// undo", a nil Proof "Apply is proof enough".
type Func struct {
	ID     string
	Action string // for Plan: one line, imperative
	On     func(ctx context.Context) (State, error)
	Do     func(ctx context.Context) error
	Revert func(ctx context.Context) error
	Proof  func(ctx context.Context) error
}

var _ Step = Func{}

// Name returns ID.
func (f Func) Name() string { return f.ID }

// Plan returns Action.
func (f Func) Plan() string { return f.Action }

// Check calls On.
func (f Func) Check(ctx context.Context) (State, error) {
	if f.On == nil {
		return Change, nil
	}
	return f.On(ctx)
}

// Apply calls Do.
func (f Func) Apply(ctx context.Context) error { return f.Do(ctx) }

// Undo calls Revert.
func (f Func) Undo(ctx context.Context) error { return call(ctx, f.Revert) }

// Verify calls Proof.
func (f Func) Verify(ctx context.Context) error { return call(ctx, f.Proof) }

func call(ctx context.Context, fn func(context.Context) error) error {
	if fn == nil {
		return nil
	}
	return fn(ctx)
}
