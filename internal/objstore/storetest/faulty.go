package storetest

import (
	"context"
	"io"
	"iter"
	"strings"
	"sync"
	"time"

	"practicectl/internal/objstore"
)

// Op names a method of a store in a [Rule].
type Op string

// The operations that can fail.
const (
	Put    Op = "put"
	Get    Op = "get"
	Stat   Op = "stat"
	List   Op = "list"
	Delete Op = "delete"
	Retain Op = "retain"
)

// Rule says which calls fail.
type Rule struct {
	Op     Op     // empty: any
	Prefix string // of the key; empty: any
	Nth    int    // the first matching call that fails, counted from 1; 0 means 1
	Times  int    // how many calls fail from then on; 0: all
	Err    error  // what they return

	// AfterBytes > 0: a Put reads so many bytes of its body before it fails, and a Get gives so many before it fails.
	AfterBytes int64
	// Done: the call takes effect and fails all the same, as when the answer is lost.
	Done bool
	// Hook, if any, is called with the key instead of returning Err when it is nil: to cancel, to kill, to count.
	Hook func(key string)
}

// Faulty is a store that fails on demand and counts its calls. Add rules at any time.
type Faulty struct {
	objstore.Store

	mu    sync.Mutex
	rules []*counted
	calls map[Op]int
	keys  map[Op][]string
	sent  int64
}

type counted struct {
	Rule
	seen int
}

var _ objstore.Store = (*Faulty)(nil)

// NewFaulty wraps st.
func NewFaulty(st objstore.Store, rules ...Rule) *Faulty {
	f := &Faulty{Store: st, calls: map[Op]int{}, keys: map[Op][]string{}}
	f.Add(rules...)
	return f
}

// Add adds rules; each counts from now on.
func (f *Faulty) Add(rules ...Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range rules {
		f.rules = append(f.rules, &counted{Rule: r})
	}
}

// Clear removes all rules and counts.
func (f *Faulty) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules, f.calls, f.keys, f.sent = nil, map[Op]int{}, map[Op][]string{}, 0
}

// Calls is how often op was called.
func (f *Faulty) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// Keys is the keys (for List the prefixes) op was called with, in order.
func (f *Faulty) Keys(op Op) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.keys[op]...)
}

// Sent is the sum of the sizes of all successful Puts, in bytes.
func (f *Faulty) Sent() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent
}

func (f *Faulty) hit(op Op, key string) *Rule {
	f.mu.Lock()
	f.calls[op]++
	f.keys[op] = append(f.keys[op], key)
	var hit *Rule
	for _, r := range f.rules {
		if (r.Op != "" && r.Op != op) || !strings.HasPrefix(key, r.Prefix) {
			continue
		}
		r.seen++
		first := max(r.Nth, 1)
		if r.seen >= first && (r.Times == 0 || r.seen < first+r.Times) && hit == nil {
			c := r.Rule
			hit = &c
		}
	}
	f.mu.Unlock()
	if hit != nil && hit.Hook != nil {
		hit.Hook(key)
	}
	if hit != nil && hit.Err == nil {
		return nil
	}
	return hit
}

// Put implements objstore.Store.
func (f *Faulty) Put(ctx context.Context, key string, r io.Reader, size int64, o objstore.PutOptions) (objstore.Info, error) {
	rule := f.hit(Put, key)
	if rule != nil && !rule.Done {
		_, _ = io.CopyN(io.Discard, r, rule.AfterBytes) // an upload that breaks in the middle
		return objstore.Info{}, rule.Err
	}
	info, err := f.Store.Put(ctx, key, r, size, o)
	if err == nil {
		f.mu.Lock()
		f.sent += size
		f.mu.Unlock()
	}
	if err == nil && rule != nil {
		return objstore.Info{}, rule.Err
	}
	return info, err
}

// Get implements objstore.Store.
func (f *Faulty) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	rule := f.hit(Get, key)
	if rule != nil && rule.AfterBytes == 0 {
		return nil, rule.Err
	}
	body, err := f.Store.Get(ctx, key, off, n)
	if err != nil || rule == nil {
		return body, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(body, rule.AfterBytes), failing{rule.Err}), body}, nil
}

// Stat implements objstore.Store.
func (f *Faulty) Stat(ctx context.Context, key string) (objstore.Info, error) {
	if rule := f.hit(Stat, key); rule != nil {
		return objstore.Info{}, rule.Err
	}
	return f.Store.Stat(ctx, key)
}

// List implements objstore.Store.
func (f *Faulty) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	if rule := f.hit(List, prefix); rule != nil {
		return func(yield func(objstore.Info, error) bool) { yield(objstore.Info{}, rule.Err) }
	}
	return f.Store.List(ctx, prefix)
}

// Delete implements objstore.Store.
func (f *Faulty) Delete(ctx context.Context, key string) error {
	rule := f.hit(Delete, key)
	if rule != nil && !rule.Done {
		return rule.Err
	}
	err := f.Store.Delete(ctx, key)
	if err == nil && rule != nil {
		return rule.Err
	}
	return err
}

// Retain implements objstore.Store.
func (f *Faulty) Retain(ctx context.Context, key, version string, until time.Time) error {
	if rule := f.hit(Retain, key); rule != nil {
		return rule.Err
	}
	return f.Store.Retain(ctx, key, version, until)
}
