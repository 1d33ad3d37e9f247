package restore

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"practicectl/backup/repo"
	"practicectl/internal/uerr"
)

const (
	requests   = 16 // on their way at once: what a transport of ours keeps connections for
	wholePacks = 6  // that are held in memory at once
)

// taker gets the plaintext of frames. One goroutine uses it.
type taker interface {
	// take gets a frame. Its content stays as it is until flush is called.
	take(pack repo.PackID, frame int, content []byte) error
	flush() error
}

// request is one that the store gets: for a whole pack, or for a stretch of one.
type request struct {
	pack   repo.StoredPack
	frames []int
	opened *opened // nil: the whole pack
	off, n int64   // of plaintext
}

// reading reads frames of many packs at once.
type reading struct {
	p       *Plan
	careful bool        // compare packs with their names
	bufs    chan []byte // for whole packs
	taker   func() taker
}

// read gives every frame that is needed to the takers, each of which belongs to one goroutine. With careful, packs are compared
// with their names, so that damage is found and named where it is.
func (p *Plan) read(ctx context.Context, needs []need, careful bool, newTaker func() taker) error {
	r := &reading{p: p, careful: careful, bufs: make(chan []byte, wholePacks), taker: newTaker}
	for range wholePacks {
		r.bufs <- nil
	}
	list, err := r.requests(ctx, needs)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	queue := make(chan request)
	g.Go(func() error {
		defer close(queue)
		for _, q := range list {
			select {
			case queue <- q:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range min(requests, len(list)) {
		g.Go(func() error { return r.work(ctx, queue) })
	}
	return g.Wait()
}

// sparse tells whether so little of a pack is wanted that only these frames are read.
func (p *Plan) sparse(n need) bool {
	if n.pack.Size <= headBytes+tailBytes+maxStretch/4 {
		return false
	}
	if all := p.frames[n.pack.ID]; all > 0 {
		return len(n.frames)*10 < all*6
	}
	return n.bytes*2 < n.pack.Size
}

// requests decides how each pack is read.
func (r *reading) requests(ctx context.Context, needs []need) ([]request, error) {
	lists := make([][]request, len(needs))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for i, n := range needs {
		lists[i] = []request{{pack: n.pack, frames: n.frames}}
		if r.careful || !r.p.sparse(n) {
			continue
		}
		g.Go(func() error {
			o, err := r.p.openEnds(gctx, n.pack)
			if r.p.mayHelp(err) {
				return nil // read whole, with its checksum
			}
			if err == nil {
				lists[i] = stretches(n, o, lists[i])
			}
			return err
		})
	}
	err := g.Wait()
	return slices.Concat(lists...), err
}

// stretches are the requests for single frames, or whole when these are nearly all of the pack.
func stretches(n need, o *opened, whole []request) []request {
	frames := slices.Clone(n.frames)
	slices.Sort(frames)
	var out []request
	sum := int64(0)
	for _, no := range frames {
		if no >= len(o.frames) {
			return whole
		}
		f := o.frames[no]
		end := f.Off + int64(f.Len)
		if last := len(out) - 1; last >= 0 && f.Off-(out[last].off+out[last].n) <= gapBytes && end-out[last].off <= maxStretch {
			sum += end - (out[last].off + out[last].n)
			out[last].n = end - out[last].off
			out[last].frames = append(out[last].frames, no)
			continue
		}
		sum += int64(f.Len)
		out = append(out, request{pack: n.pack, frames: []int{no}, opened: o, off: f.Off, n: int64(f.Len)})
	}
	if sum > n.pack.Size*7/10 {
		return whole
	}
	return out
}

// worker is one goroutine's part.
type worker struct {
	*reading
	dec *zstd.Decoder
	out taker
	buf []byte // unpacked frames, one after the other, since the last flush
}

func (r *reading) work(ctx context.Context, queue <-chan request) error {
	w := &worker{reading: r, out: r.taker(), buf: make([]byte, 0, 2*repo.MaxFrame)}
	var err error
	if w.dec, err = repo.NewDecoder(); err != nil {
		return err
	}
	defer w.dec.Close()
	for q := range queue {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		err := w.do(ctx, q, r.careful)
		if !r.careful && r.p.mayHelp(err) {
			err = w.do(ctx, request{pack: q.pack, frames: q.frames}, true)
		}
		if err != nil {
			return err
		}
	}
	return w.out.flush()
}

// mayHelp tells whether reading a pack once more, whole and compared with its name, may help after an error: with damage, with
// another object in the pack's place, and when there is another store.
func (p *Plan) mayHelp(err error) bool {
	switch uerr.KindOf(err) {
	case uerr.Integrity, uerr.Auth:
		return true
	case uerr.Unreachable:
		return len(p.repo.Others) > 0
	}
	return false
}

func (w *worker) do(ctx context.Context, q request, careful bool) error {
	if q.opened != nil {
		return w.stretch(ctx, q)
	}
	var buf []byte
	select {
	case buf = <-w.bufs:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { w.bufs <- buf }()
	if want := int(min(q.pack.Size, repo.MaxPack)); cap(buf) < want {
		buf = make([]byte, 0, want)
	}
	get := w.p.whole
	if careful {
		get = w.p.checked
	}
	plain, err := get(ctx, q.pack, buf)
	if err != nil {
		return err
	}
	buf = plain
	frames, err := repo.ReadSeekTable(bytes.NewReader(plain), int64(len(plain)))
	if err != nil {
		return w.bad(q, err)
	}
	for _, no := range q.frames {
		if no >= len(frames) {
			return w.bad(q, fmt.Errorf("%w: frame %d", errRef, no))
		}
		f := frames[no]
		if err := w.give(q, no, f, plain[f.Off:f.Off+int64(f.Len)]); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) stretch(ctx context.Context, q request) error {
	e := q.opened.excerpts
	from, to := e.Span(q.off, q.n)
	span, err := w.p.part(ctx, q.pack, from, to-from)
	if err != nil {
		return err
	}
	plain, err := e.Open(span, q.off, q.n)
	if err != nil {
		return err
	}
	for _, no := range q.frames {
		f := q.opened.frames[no]
		if err := w.give(q, no, f, plain[f.Off-q.off:][:f.Len]); err != nil {
			return err
		}
	}
	return nil
}

// give unpacks a frame behind those before it, so that what belongs together in a file is written at once.
func (w *worker) give(q request, no int, f repo.FrameSpan, packed []byte) error {
	if cap(w.buf)-len(w.buf) < repo.MaxFrame {
		if err := w.out.flush(); err != nil {
			return err
		}
		w.buf = w.buf[:0]
	}
	content, err := f.Unpack(w.dec, packed, w.buf)
	if err != nil {
		return w.bad(q, fmt.Errorf("frame %d: %w", no, err))
	}
	w.buf = w.buf[:len(w.buf)+len(content)]
	return w.out.take(q.pack.ID, no, content)
}

func (w *worker) bad(q request, err error) error {
	return repo.Tampered("open the pack", w.p.repo.Store, q.pack.ID.Key(), err)
}
