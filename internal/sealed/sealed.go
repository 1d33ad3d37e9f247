// Package sealed encrypts to public keys with age, so that a host can write what only the holder of an offline identity reads.
//
// Everything it writes is a standard age file: `age -d -i IDENTITY FILE` opens it without this product.
package sealed

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"filippo.io/age"

	"practicectl/internal/uerr"
)

// Seal returns a writer whose input is encrypted to all recipients and written to w as one age file. The file is
// complete only after Close, which does not close w. Error kind: Config when recipient kinds are mixed.
func Seal(w io.Writer, recipients ...age.Recipient) (io.WriteCloser, error) {
	if err := checkMix(recipients); err != nil {
		return nil, err
	}
	out, err := age.Encrypt(w, recipients...)
	if err != nil {
		return nil, sealError(recipients, err)
	}
	return out, nil
}

// sealError tells a plugin that failed from recipients that may not be mixed: age reports the latter without a type.
func sealError(recipients []age.Recipient, err error) error {
	var known *uerr.Error
	switch {
	case errors.As(err, &known):
		return known
	case strings.Contains(err.Error(), "incompatible recipients"):
		for _, r := range recipients[1:] {
			if a, b := AlgorithmOf(recipients[0]), AlgorithmOf(r); a != b {
				return mixed(a, b)
			}
		}
	}
	return uerr.New(uerr.Failed, "encrypt", "", err, "")
}

// SealBytes is Seal for bytes at hand.
func SealBytes(plain []byte, recipients ...age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	w, err := Seal(&out, recipients...)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, uerr.New(uerr.Failed, "encrypt", "", err, "")
	}
	if err := w.Close(); err != nil {
		return nil, uerr.New(uerr.Failed, "encrypt", "", err, "")
	}
	return out.Bytes(), nil
}

// Open returns the plaintext of the age file r. Each 64 KiB is authenticated before it is given out; a file that is
// cut short or changed ends in an error of kind Integrity, never in io.EOF. Error kinds: Auth when no identity fits,
// Integrity; errors of r itself pass through unchanged.
func Open(r io.Reader, identities ...age.Identity) (io.Reader, error) {
	if len(identities) == 0 {
		return nil, noIdentity()
	}
	src := &watchedReader{r: r}
	plain, err := age.Decrypt(src, identities...)
	if err != nil {
		return nil, classify(err, src.err)
	}
	return &openReader{plain: plain, src: src}, nil
}

// OpenBytes is Open for bytes at hand.
func OpenBytes(file []byte, identities ...age.Identity) ([]byte, error) {
	r, err := Open(bytes.NewReader(file), identities...)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func noIdentity() error {
	return uerr.New(uerr.Auth, "decrypt", "", errors.New("no identity was given"), "name the identity file: --identity FILE")
}

// watchedReader remembers the error of the reader below, so that a broken connection is not called tampering.
type watchedReader struct {
	r   io.Reader
	err error
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

type openReader struct {
	plain io.Reader
	src   *watchedReader
}

func (o *openReader) Read(p []byte) (int, error) {
	n, err := o.plain.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = classify(err, o.src.err)
	}
	return n, err
}

// classify turns an error of age into one of ours. source is the error of the underlying reader, if it had one.
func classify(err, source error) error {
	var nomatch *age.NoIdentityMatchError
	var known *uerr.Error
	switch {
	case errors.As(err, &known): // of a plugin, or of an identity of ours
		return known
	case source != nil && !errors.Is(source, io.ErrUnexpectedEOF):
		return source
	case errors.As(err, &nomatch):
		return uerr.New(uerr.Auth, "decrypt", "", errors.New("none of the given identities opens it"),
			"give the identity file of one of the recipients (practicectl key list shows them)")
	case source != nil, errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return uerr.New(uerr.Integrity, "decrypt", "", errors.New("the encrypted file is cut short"), "fetch it again, or take it from another copy")
	}
	// The text of age's error may quote the file; the verdict is enough.
	return uerr.New(uerr.Integrity, "decrypt", "", errors.New("the encrypted file was changed or damaged"), "fetch it again, or take it from another copy")
}
