package repo

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// cutAll cuts data and returns the chunks, each a copy.
func cutAll(t *testing.T, c *Cutter, r io.Reader) [][]byte {
	t.Helper()
	if err := c.Open(r); err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for {
		chunk, err := c.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, bytes.Clone(chunk))
	}
}

func TestCutsFollowTheContent(t *testing.T) {
	data := make([]byte, 9<<20)
	noise := rand.NewChaCha8([32]byte{1})
	_, _ = noise.Read(data)
	key, err := NewIndexKey(1)
	if err != nil {
		t.Fatal(err)
	}
	c := key.Cutter()
	before := cutAll(t, c, bytes.NewReader(data))
	if got := bytes.Join(before, nil); !bytes.Equal(got, data) {
		t.Fatal("the chunks are not the file")
	}
	for i, chunk := range before {
		if len(chunk) > MaxFrame || len(chunk) < minCut && i < len(before)-1 {
			t.Errorf("chunk %d has %d bytes", i, len(chunk))
		}
	}
	known := map[string]bool{}
	for _, chunk := range before {
		known[string(chunk)] = true
	}
	changed := append(append(bytes.Clone(data[:3<<20]), []byte("a line more")...), data[3<<20:]...)
	fresh := 0
	for _, chunk := range cutAll(t, c, iotest.HalfReader(bytes.NewReader(changed))) {
		if !known[string(chunk)] {
			fresh++
		}
	}
	if fresh == 0 || fresh > 3 {
		t.Errorf("%d of %d chunks are new after 11 bytes were put in", fresh, len(before))
	}
	other, err := NewIndexKey(1)
	if err != nil {
		t.Fatal(err)
	}
	same := 0
	for _, chunk := range cutAll(t, other.Cutter(), bytes.NewReader(data)) {
		if known[string(chunk)] {
			same++
		}
	}
	if same > 1 {
		t.Errorf("another key cuts %d chunks alike", same)
	}
}

func TestCutsOfShortAndBrokenFiles(t *testing.T) {
	key, err := NewIndexKey(1)
	if err != nil {
		t.Fatal(err)
	}
	c := key.Cutter()
	if got := cutAll(t, c, bytes.NewReader(nil)); len(got) != 0 {
		t.Errorf("an empty file has %d chunks", len(got))
	}
	if got := cutAll(t, c, bytes.NewReader([]byte("short"))); len(got) != 1 || string(got[0]) != "short" {
		t.Errorf("got %q", got)
	}
	broken := errors.New("broken disk")
	if err := c.Open(iotest.ErrReader(broken)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
