package sealed

import (
	"bytes"
	"errors"
	"io"

	"filippo.io/age"

	"practicectl/internal/uerr"
)

// FileKeySize is the size in bytes of the key that an age file is encrypted with.
const FileKeySize = 16

// ErrShortHeader: the bytes end before the header of the age file does.
var ErrShortHeader = errors.New("the header of the encrypted file goes on")

// FileKey opens only the header of an age file, of which head is the beginning, and returns the key of the file. That is
// enough to hand the file on to another identity without reading it: see [WithFileKey]. Errors: [ErrShortHeader]; kinds Auth
// when no identity fits, Integrity.
func FileKey(head []byte, identities ...age.Identity) ([]byte, error) {
	if len(identities) == 0 {
		return nil, noIdentity()
	}
	header, err := age.ExtractHeader(bytes.NewReader(head))
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, ErrShortHeader
	case err != nil:
		return nil, classify(err, nil)
	}
	key, err := age.DecryptHeader(header, identities...)
	if err != nil {
		return nil, classify(err, nil)
	}
	if len(key) != FileKeySize {
		return nil, uerr.New(uerr.Integrity, "decrypt", "", errors.New("the encrypted file was changed or damaged"), "")
	}
	return key, nil
}

// IsSealed tells whether a file that begins with head is an age file.
func IsSealed(head []byte) bool { return bytes.HasPrefix(head, []byte(ageIntro)) }

// WithFileKey is the identity that opens the one file whose key was found by [FileKey].
func WithFileKey(key []byte) age.Identity { return age.NewInjectedFileKeyIdentity(key) }
