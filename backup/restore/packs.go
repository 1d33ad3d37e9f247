package restore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"golang.org/x/sync/errgroup"

	"practicectl/backup/repo"
	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// FetchPack reads a pack and compares it with its name, which is its checksum; that needs no key.
func FetchPack(ctx context.Context, r *repo.Repo, want repo.StoredPack) ([]byte, error) {
	return r.ReadProved(ctx, "read the pack", want.ID.Key(), want.Size, repo.MaxPack, repo.Sum(want.ID.String()))
}

// CheckPack compares a pack with its name and keeps nothing of it: a repository is verified in little memory. What does not agree
// is read once more as [FetchPack] does, which also finds it elsewhere. It returns the bytes of the pack.
func CheckPack(ctx context.Context, r *repo.Repo, want repo.StoredPack, buf []byte) (int64, error) {
	sum := sha256.New()
	n, err := hashObject(ctx, r, want.ID.Key(), sum, buf)
	if err == nil && n == want.Size && bytes.Equal(sum.Sum(nil), want.ID[:]) {
		return n, nil
	}
	if errors.Is(err, context.Canceled) {
		return n, err
	}
	data, err := FetchPack(ctx, r, want)
	return int64(len(data)), err
}

func hashObject(ctx context.Context, r *repo.Repo, key string, sum io.Writer, buf []byte) (int64, error) {
	rc, err := r.Store.Get(ctx, key, 0, -1)
	if err != nil {
		return 0, err
	}
	// Only the reader of io.CopyBuffer may use the buffer: neither end may take over the copying.
	n, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{rc}, buf)
	return n, errors.Join(err, rc.Close())
}

// whole reads and opens a pack into buf. It does not compare the pack with its name, which would cost a hash of everything:
// what is taken out of it is proved page by page.
func (p *Plan) whole(ctx context.Context, want repo.StoredPack, buf []byte) ([]byte, error) {
	key := want.ID.Key()
	p.requests.Add(1)
	rc, err := p.repo.Store.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, repo.StoreError("read the pack", p.repo.Store, key, err)
	}
	plain, err := open(io.LimitReader(rc, repo.MaxPack+1), p, key, buf)
	if err = errors.Join(err, rc.Close()); err != nil {
		return nil, p.unopened(key, err)
	}
	p.bytes.Add(want.Size)
	return plain, nil
}

// checked reads and opens a pack after comparing it with its name.
func (p *Plan) checked(ctx context.Context, want repo.StoredPack, buf []byte) ([]byte, error) {
	key := want.ID.Key()
	p.requests.Add(1)
	p.bytes.Add(want.Size)
	data, err := FetchPack(ctx, p.repo, want)
	if err != nil {
		return nil, err
	}
	plain, err := open(bytes.NewReader(data), p, key, buf)
	return plain, p.unopened(key, err)
}

func (p *Plan) unopened(key string, err error) error {
	if err == nil || uerr.KindOf(err) != uerr.Integrity && uerr.KindOf(err) != uerr.Auth {
		return repo.StoreError("read the pack", p.repo.Store, key, err)
	}
	return repo.Tampered("open the pack", p.repo.Store, key, err)
}

// open decrypts all of r into buf, which grows as needed.
func open(r io.Reader, p *Plan, key string, buf []byte) ([]byte, error) {
	plain, err := sealed.Open(r, p.repo.IdentitiesFor(key)...)
	if err != nil {
		return nil, err
	}
	for buf = buf[:0]; ; {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := plain.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// Sizes that decide what is read of a pack of which only some frames are wanted.
const (
	headBytes  = 4 << 10  // hold the header of an age file for a few recipients
	maxHead    = 64 << 10 // and these for many
	tailBytes  = 32 << 10 // hold the table of frames of most packs
	gapBytes   = 8 << 10  // less between two frames is read along with them: a request costs more
	maxStretch = 1 << 20  // bytes of one request
)

// opened is a pack of which only the beginning and the end were read.
type opened struct {
	excerpts *sealed.Excerpts
	frames   []repo.FrameSpan
}

// openEnds reads the header and the table of frames of a pack.
func (p *Plan) openEnds(ctx context.Context, want repo.StoredPack) (*opened, error) {
	var head, tail []byte
	tailFrom := max(0, want.Size-tailBytes)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { head, err = p.part(gctx, want, 0, min(headBytes, want.Size)); return err })
	g.Go(func() (err error) { tail, err = p.part(gctx, want, tailFrom, want.Size-tailFrom); return err })
	if err := g.Wait(); err != nil {
		return nil, err
	}
	key := want.ID.Key()
	ids := p.repo.IdentitiesFor(key)
	e, err := sealed.NewExcerpts(head, want.Size, ids...)
	if errors.Is(err, sealed.ErrShortHead) {
		if head, err = p.part(ctx, want, 0, min(maxHead, want.Size)); err == nil {
			e, err = sealed.NewExcerpts(head, want.Size, ids...)
		}
	}
	if errors.Is(err, sealed.ErrShortHead) { // no header is that long
		err = uerr.New(uerr.Integrity, "open", "", err, "")
	}
	if err != nil {
		return nil, p.unopened(key, err)
	}
	frames, err := repo.ReadSeekTable(&plaintext{ctx: ctx, p: p, pack: want, e: e, at: tailFrom, tail: tail}, e.Size())
	if err != nil {
		return nil, p.unopened(key, uerr.New(uerr.Integrity, "open", "", err, ""))
	}
	return &opened{excerpts: e, frames: frames}, nil
}

// part reads n bytes of a pack from off.
func (p *Plan) part(ctx context.Context, want repo.StoredPack, off, n int64) ([]byte, error) {
	key := want.ID.Key()
	p.requests.Add(1)
	p.bytes.Add(n)
	rc, err := p.repo.Store.Get(ctx, key, off, n)
	if err != nil {
		return nil, repo.StoreError("read the pack", p.repo.Store, key, err)
	}
	data := make([]byte, n)
	_, err = io.ReadFull(rc, data)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = uerr.New(uerr.Integrity, "read the pack", "", errors.New("it is cut short"), "")
	}
	return data, p.unopened(key, errors.Join(err, rc.Close()))
}

// plaintext reads stretches of a pack's plaintext; what its tail holds is at hand.
type plaintext struct {
	ctx  context.Context
	p    *Plan
	pack repo.StoredPack
	e    *sealed.Excerpts
	at   int64 // of the tail, in the pack
	tail []byte
}

// ReadAt implements io.ReaderAt.
func (t *plaintext) ReadAt(b []byte, off int64) (int, error) {
	from, to := t.e.Span(off, int64(len(b)))
	var span []byte
	if from >= t.at && to-t.at <= int64(len(t.tail)) {
		span = bytes.Clone(t.tail[from-t.at : to-t.at])
	} else {
		var err error
		if span, err = t.p.part(t.ctx, t.pack, from, to-from); err != nil {
			return 0, err
		}
	}
	plain, err := t.e.Open(span, off, int64(len(b)))
	return copy(b, plain), err
}
