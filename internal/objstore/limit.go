package objstore

import (
	"context"
	"io"
	"sync"
	"time"
)

// Limit returns st with its uploads slowed to bytesPerSecond for all of them together. 0 or less: no limit.
func Limit(st Store, bytesPerSecond int64) Store {
	if bytesPerSecond <= 0 {
		return st
	}
	return LimitBy(st, func(time.Time) int64 { return bytesPerSecond })
}

// LimitBy is Limit with a rate that depends on the time: bytes a second, 0 for none.
func LimitBy(st Store, rate func(now time.Time) int64) Store {
	return &limited{Store: st, pace: &pace{rate: rate}}
}

type limited struct {
	Store
	pace *pace
}

func (l *limited) Put(ctx context.Context, key string, r io.Reader, size int64, o PutOptions) (Info, error) {
	lr := &limitedReader{ctx: ctx, r: r, pace: l.pace}
	if s, ok := r.(io.Seeker); ok { // keeps the store able to rewind and try again
		return l.Store.Put(ctx, key, &limitedSeeker{limitedReader: lr, s: s}, size, o)
	}
	return l.Store.Put(ctx, key, lr, size, o)
}

// pace hands out time: each byte pushes the moment at which the next one may go, whichever upload it belongs to. So as many
// bytes as the rate allows have gone at any moment, however many uploads there are.
type pace struct {
	rate func(now time.Time) int64
	mu   sync.Mutex
	next time.Time
}

func (p *pace) wait(ctx context.Context, n int) error {
	p.mu.Lock()
	now := time.Now()
	rate := p.rate(now)
	if rate <= 0 {
		p.next = time.Time{}
		p.mu.Unlock()
		return ctx.Err()
	}
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	at := p.next
	p.mu.Unlock()
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// slice is how many bytes go at once: a tenth of a second's worth, so that a slow line stays smooth.
func (p *pace) slice() int {
	rate := p.rate(time.Now())
	if rate <= 0 {
		return 64 << 10
	}
	return int(min(max(rate/10, 512), 64<<10))
}

type limitedReader struct {
	ctx  context.Context
	r    io.Reader
	pace *pace
	free bool // the store is only hashing, not sending
}

func (l *limitedReader) Read(b []byte) (int, error) {
	if !l.free {
		b = b[:min(len(b), l.pace.slice())]
	}
	n, err := l.r.Read(b)
	if n > 0 && !l.free {
		if werr := l.pace.wait(l.ctx, n); werr != nil {
			return n, werr
		}
	}
	return n, err
}

type limitedSeeker struct {
	*limitedReader
	s io.Seeker
}

func (l *limitedSeeker) Seek(off int64, whence int) (int64, error) { return l.s.Seek(off, whence) }

// Unpaced runs fn while reads from r are not slowed down. Stores use it when they read a body to hash it before
// they send it.
func Unpaced(r io.Reader, fn func() error) error {
	if l, ok := r.(*limitedSeeker); ok {
		l.free = true
		defer func() { l.free = false }()
	}
	return fn()
}
