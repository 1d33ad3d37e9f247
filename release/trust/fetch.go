package trust

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"practicectl/internal/atomicfile"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
	"practicectl/release"
)

// Unverified is the suffix of a file that is not proved yet.
const Unverified = ".unverified"

// Fetch brings a target of a [Catalog] to dst: streamed, resumed where an earlier try ended, and verified while it is
// written. Until it is proved the file is called dst.unverified. A dst that is already right is left alone. task may
// be nil. Error kinds: Integrity, Unreachable (what came so far is kept), NoSpace, Precond.
func (c *Client) Fetch(ctx context.Context, t release.Target, dst string, task progress.Task) error {
	const op = "fetch"
	if err := t.Check(); err != nil {
		return uerr.New(uerr.Integrity, op, t.Path, err, hintTamper)
	}
	if task == nil {
		task = progress.None.Task("", progress.Bytes, 0)
	}
	if Holds(dst, t) {
		task.Add(t.Length)
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return classify(op, t.Path, err)
	}
	var err error
	for try := range c.o.Attempts {
		if try > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Duration(try*try) * 200 * time.Millisecond):
			}
		}
		d := &download{c: c, t: t, path: dst + Unverified, task: task}
		if err = d.run(ctx); err == nil {
			return classify(op, t.Path, atomicfile.Rename(d.path, dst))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !d.again(err) {
			break
		}
	}
	return classify(op, t.Path, err)
}

// download is one try.
type download struct {
	c       *Client
	t       release.Target
	path    string
	task    progress.Task
	resumed bool
	counted int64
}

// again reports whether another try may help: the transfer broke, or what was there before made the whole wrong.
func (d *download) again(err error) bool {
	if errors.Is(err, &metadata.ErrRepository{}) {
		return d.resumed // the wrong part is gone: once more from the beginning
	}
	var status *statusError
	if errors.As(err, &status) {
		return status.code >= 500
	}
	return uerr.KindOf(classify("", "", err)) == uerr.Unreachable
}

func (d *download) run(ctx context.Context) (err error) {
	f, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if errors.Is(err, &metadata.ErrRepository{}) {
			d.task.Add(-d.counted)
			err = errors.Join(err, os.Remove(d.path))
		}
	}()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return errors.Join(err, &os.PathError{Op: "open", Path: d.path, Err: errors.New("not a regular file")})
	}
	h := sha256.New()
	have, err := d.rest(f, h)
	if err != nil {
		return err
	}
	if have < d.t.Length {
		if err := d.transfer(ctx, f, h, have); err != nil {
			d.task.Add(-d.counted) // counted anew by the next try
			d.counted = 0
			return err
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != d.t.SHA256 {
		return &metadata.ErrLengthOrHashMismatch{Msg: fmt.Sprintf("SHA-256 is %s, signed is %s", got, d.t.SHA256)}
	}
	return f.Sync()
}

// rest hashes what an earlier try left behind and returns its length.
func (d *download) rest(f *os.File, h hash.Hash) (int64, error) {
	n, err := io.Copy(h, io.LimitReader(f, d.t.Length+1))
	if err != nil {
		return 0, err
	}
	if n > d.t.Length {
		return 0, d.restart(f, h)
	}
	d.resumed = n > 0
	d.count(n)
	return n, nil
}

func (d *download) restart(f *os.File, h hash.Hash) error {
	h.Reset()
	d.task.Add(-d.counted)
	d.counted, d.resumed = 0, false
	_, err := f.Seek(0, io.SeekStart)
	return errors.Join(err, f.Truncate(0))
}

func (d *download) count(n int64) {
	d.counted += n
	d.task.Add(n)
}

func (d *download) transfer(ctx context.Context, f *os.File, h hash.Hash, have int64) (err error) {
	r, start, err := d.c.src.open(ctx, "targets/"+release.StoredPath(d.t.Path, d.t.SHA256), have)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if start != have {
		if err := d.restart(f, h); err != nil {
			return err
		}
		have = 0
	}
	// One byte more than signed is asked for: a source that goes on is not followed, and not taken for complete.
	buf := make([]byte, 128<<10)
	in := io.LimitReader(r, d.t.Length-have+1)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, readErr := in.Read(buf)
		if have += int64(n); have > d.t.Length {
			return &metadata.ErrLengthOrHashMismatch{Msg: fmt.Sprintf("longer than the signed %d bytes", d.t.Length)}
		}
		if n > 0 {
			h.Write(buf[:n])
			if _, err := f.Write(buf[:n]); err != nil {
				return err
			}
			d.count(int64(n))
		}
		switch {
		case errors.Is(readErr, io.EOF) && have < d.t.Length:
			// A connection that breaks is another error: here the source says that this is all.
			return &metadata.ErrLengthOrHashMismatch{Msg: fmt.Sprintf("the source has only %d of the signed %d bytes", have, d.t.Length)}
		case errors.Is(readErr, io.EOF):
			return nil
		case readErr != nil:
			return readErr
		}
	}
}

func hashFile(path string) (sum string, n int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), n, err
}

// Holds reports whether the file at path is exactly t.
func Holds(path string, t release.Target) bool {
	sum, n, err := hashFile(path)
	return err == nil && n == t.Length && sum == t.SHA256
}
