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
	return &limited{Store: st, pace: &pace{rate: float64(bytesPerSecond)}}
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

// pace hands out time: each byte pushes the moment at which the next one may go.
type pace struct {
	rate float64 // bytes per second
	mu   sync.Mutex
	next time.Time
}

func (p *pace) wait(ctx context.Context, n int) error {
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
	d := p.next.Sub(now)
	p.mu.Unlock()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// slice is how many bytes go at once: a tenth of a second's worth, so that a slow line stays smooth.
func (p *pace) slice() int { return int(min(max(p.rate/10, 512), 64<<10)) }

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
