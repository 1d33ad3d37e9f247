package objstore_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"practicectl/internal/objstore"
	"practicectl/internal/objstore/dir"
)

// watched notes how many bytes of all bodies have been read, and checks each time that it is not more than allowed.
type watched struct {
	objstore.Store
	mu      sync.Mutex
	sent    int64
	allowed func(now time.Time) int64
	t       *testing.T
}

func (w *watched) Put(ctx context.Context, key string, r io.Reader, size int64, o objstore.PutOptions) (objstore.Info, error) {
	return w.Store.Put(ctx, key, io.TeeReader(r, w), size, o)
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent += int64(len(b))
	if most := w.allowed(time.Now()); w.sent > most {
		w.t.Errorf("%d bytes went at %s, and %d are allowed", w.sent, time.Now().Format(time.TimeOnly), most)
	}
	return len(b), nil
}

// TestO3_TheLimitHoldsForAllUploadsTogether counts bytes against a clock that the test moves, with uploads at the same time and hours
// in which the limit does not hold.
func TestO3_TheLimitHoldsForAllUploadsTogether(t *testing.T) {
	const rate, uploads, each = 100_000, 5, 1_000_000
	st, err := dir.Create(t.TempDir() + "/store")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := &watched{Store: st, t: t, allowed: func(now time.Time) int64 { return int64(now.Sub(began).Seconds()*rate) + 1 }}
		slow := objstore.LimitBy(w, func(time.Time) int64 { return rate })
		var g sync.WaitGroup
		for i := range uploads {
			g.Go(func() {
				if _, err := slow.Put(t.Context(), fmt.Sprint("k", i), bytes.NewReader(make([]byte, each)), each, objstore.PutOptions{}); err != nil {
					t.Error(err)
				}
			})
		}
		g.Wait()
		if took, want := time.Since(began), time.Duration(uploads*each/rate)*time.Second; took < want || took > want+want/100 {
			t.Errorf("it took %s and the line allows %s", took, want)
		}
	})
}

func TestO3_TheLimitEndsWithItsHours(t *testing.T) {
	const rate, size = 100_000, 5_000_000
	st, err := dir.Create(t.TempDir() + "/store")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		evening := began.Add(10 * time.Second)
		hours := func(now time.Time) int64 {
			if now.Before(evening) {
				return rate
			}
			return 0
		}
		w := &watched{Store: st, t: t, allowed: func(now time.Time) int64 {
			if now.Before(evening) {
				return int64(now.Sub(began).Seconds()*rate) + 1
			}
			return size
		}}
		if _, err := objstore.LimitBy(w, hours).Put(t.Context(), "k", bytes.NewReader(make([]byte, size)), size, objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("it took %s: slow for 10 s, then as fast as it goes", took)
		}
	})
}
