package sealed

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"practicectl/internal/uerr"
)

// TestExcerptsAreWhatAgeDecrypts compares stretches of files of many sizes, above all around the borders of the pieces.
func TestExcerptsAreWhatAgeDecrypts(t *testing.T) {
	id, recipient := newPair(t)
	rng := rand.New(rand.NewPCG(7, 7))
	for _, size := range []int{1, 63, 64, 65, streamPiece - 1, streamPiece, streamPiece + 1, 3 * streamPiece, 5*streamPiece + 777} {
		plain := someBytes(t, size)
		file, err := SealBytes(plain, recipient)
		if err != nil {
			t.Fatal(err)
		}
		e, err := NewExcerpts(file[:min(len(file), 4096)], int64(len(file)), id)
		if err != nil || e.Size() != int64(size) {
			t.Fatalf("%d bytes: %v, %+v", size, err, e)
		}
		for range 300 {
			off := rng.Int64N(int64(size))
			n := 1 + rng.Int64N(int64(size)-off)
			from, to := e.Span(off, n)
			got, err := e.Open(bytes.Clone(file[from:to]), off, n)
			if err != nil || !bytes.Equal(got, plain[off:off+n]) {
				t.Fatalf("%d bytes, [%d,+%d): %v, equal %v", size, off, n, err, bytes.Equal(got, plain[off:off+n]))
			}
		}
		if _, err := e.Open(make([]byte, 5), 0, 4); err == nil {
			t.Error("a stretch of another length was accepted")
		}
	}
}

func TestExcerptsRefuseWhatTheyCannotOpen(t *testing.T) {
	id, recipient := newPair(t)
	stranger, _ := newPair(t)
	file, err := SealBytes(someBytes(t, 1000), recipient)
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(file))
	if _, err := NewExcerpts(file[:40], size, id); !errors.Is(err, ErrShortHead) {
		t.Errorf("short head: %v", err)
	}
	if _, err := NewExcerpts(file, size, stranger); uerr.KindOf(err) != uerr.Auth {
		t.Errorf("stranger: %v", err)
	}
	if _, err := NewExcerpts(file, size); uerr.KindOf(err) != uerr.Auth {
		t.Errorf("no identity: %v", err)
	}
	bad := bytes.Clone(file)
	bad[30] ^= 1
	if _, err := NewExcerpts(bad, size, id); err == nil {
		t.Error("a changed header was accepted")
	}
	if _, err := NewExcerpts(file[:100], 100, id); uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("a file that ends in its header: %v", err)
	}
}
