package drill

import (
	"context"
	"io"
	"sync"
	"time"

	"practicectl/internal/objstore"
)

// meter counts what is read from a store.
type meter struct {
	objstore.Store
	mu    sync.Mutex
	sum   Transfer
	open  int
	since time.Time
}

// Get counts the request, its bytes, and the time until it is closed.
func (m *meter) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	m.begin()
	r, err := m.Store.Get(ctx, key, off, n)
	if err != nil {
		m.end(0)
		return nil, err
	}
	return &metered{ReadCloser: r, m: m}, nil
}

type metered struct {
	io.ReadCloser
	m    *meter
	n    int64
	once sync.Once
}

func (r *metered) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	r.n += int64(n)
	return n, err
}

func (r *metered) Close() error {
	r.once.Do(func() { r.m.end(r.n) })
	return r.ReadCloser.Close()
}

func (m *meter) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sum.Requests++; m.open == 0 {
		m.since = time.Now()
	}
	m.open++
}

func (m *meter) end(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum.Bytes += n
	if m.open--; m.open == 0 {
		m.sum.Seconds += time.Since(m.since).Seconds()
	}
}

func (m *meter) transfer() Transfer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sum
}
