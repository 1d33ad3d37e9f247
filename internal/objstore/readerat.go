package objstore

import (
	"context"
	"errors"
	"io"
	"sync"
)

// ReaderAt reads ranges of the object key, which has size bytes, in blocks of block bytes (at least 4 KiB) and keeps
// the last few of them. It is safe for concurrent use and ends with ctx. It suits [sealed.OpenAt].
func ReaderAt(ctx context.Context, st Store, key string, size int64, block int64) io.ReaderAt {
	return &readerAt{ctx: ctx, st: st, key: key, size: size, block: max(block, 4<<10)}
}

const keptBlocks = 4

type readerAt struct {
	ctx   context.Context
	st    Store
	key   string
	size  int64
	block int64

	mu   sync.Mutex
	kept []cachedBlock // newest last
}

type cachedBlock struct {
	n    int64
	data []byte
}

func (r *readerAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	done := 0
	for done < len(p) {
		at := off + int64(done)
		if at >= r.size {
			return done, io.EOF
		}
		data, err := r.get(at / r.block)
		if err != nil {
			return done, err
		}
		done += copy(p[done:], data[at%r.block:])
	}
	return done, nil
}

func (r *readerAt) get(n int64) ([]byte, error) {
	for _, b := range r.kept {
		if b.n == n {
			return b.data, nil
		}
	}
	start := n * r.block
	want := min(r.block, r.size-start)
	body, err := r.st.Get(r.ctx, r.key, start, want)
	if err != nil {
		return nil, err
	}
	data := make([]byte, want)
	_, err = io.ReadFull(body, data)
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	if len(r.kept) == keptBlocks {
		r.kept = append(r.kept[:0], r.kept[1:]...)
	}
	r.kept = append(r.kept, cachedBlock{n, data})
	return data, nil
}
