package authn

import (
	"context"
	"sync"
)

// turns lets each address prove only a few passwords at a time, from the question whether it must wait to the verdict. So
// a crowd of guesses sent at once is counted like one after the other, and leaves hashing free for other addresses.
type turns struct {
	limit int
	mu    sync.Mutex
	of    map[string]*turn
}

type turn struct {
	slots chan struct{}
	users int // who hold or wait for a slot
}

func newTurns(limit int) *turns { return &turns{limit: max(limit, 1), of: map[string]*turn{}} }

// take waits for a turn of the address; the caller gives it back by calling done.
func (t *turns) take(ctx context.Context, address string) (done func(), err error) {
	t.mu.Lock()
	u := t.of[address]
	if u == nil {
		u = &turn{slots: make(chan struct{}, t.limit)}
		t.of[address] = u
	}
	u.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if u.users--; u.users == 0 {
			delete(t.of, address)
		}
	}
	select {
	case u.slots <- struct{}{}:
		return func() { <-u.slots; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
