package s3

import (
	"context"
	"math/rand/v2"
	"time"
)

// firstAttempts is how often a store that has never answered is tried: a wrong address should be told quickly.
const firstAttempts = 2

// try runs fn until it succeeds, fails for good, or has been tried often enough. fn is told whether an earlier try may
// have taken effect.
func (s *store) try(ctx context.Context, fn func(maybeDone bool) error) error {
	wait, maybeDone := 200*time.Millisecond, false
	for n := 1; ; n++ {
		err := fn(maybeDone)
		if err == nil {
			s.answered.Store(true)
			return nil
		}
		f := s.classify(ctx, err)
		limit := s.attempts
		if !s.answered.Load() {
			limit = min(limit, firstAttempts)
		}
		if !f.retry || n >= limit {
			return f.err
		}
		maybeDone = maybeDone || f.ambiguous
		if err := pause(ctx, wait/2+rand.N(wait)); err != nil {
			return err
		}
		wait = min(wait*3, 15*time.Second)
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
