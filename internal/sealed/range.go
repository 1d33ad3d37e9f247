package sealed

import (
	"errors"
	"io"
	"sync"

	"filippo.io/age"
)

// OpenAt gives random access to the plaintext of an age file of size bytes: the header and the last 64 KiB are read
// at once, then only the pieces that are asked for. It returns the size of the plaintext. The reader is safe for
// concurrent use. Error kinds as for [Open].
func OpenAt(src io.ReaderAt, size int64, identities ...age.Identity) (io.ReaderAt, int64, error) {
	if len(identities) == 0 {
		return nil, 0, noIdentity()
	}
	watched := &watchedReaderAt{r: src}
	plain, n, err := age.DecryptReaderAt(watched, size, identities...)
	if err != nil {
		return nil, 0, classify(err, watched.failed())
	}
	return &openReaderAt{plain: plain, src: watched}, n, nil
}

type watchedReaderAt struct {
	r   io.ReaderAt
	mu  sync.Mutex
	err error
}

func (w *watchedReaderAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.r.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
	}
	return n, err
}

// failed returns the last error of the source and forgets it, so that a later error of another cause is told apart.
func (w *watchedReaderAt) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.err
	w.err = nil
	return err
}

type openReaderAt struct {
	plain io.ReaderAt
	src   *watchedReaderAt
}

func (o *openReaderAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.plain.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = classify(err, o.src.failed())
	}
	return n, err
}
