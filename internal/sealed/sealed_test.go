package sealed

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"filippo.io/age"

	"practicectl/internal/uerr"
)

func newPair(t *testing.T) (*Identity, age.Recipient) {
	t.Helper()
	id, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	rs, err := ParseRecipients([]string{id.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	return id, rs[0]
}

func someBytes(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestO4_EachRecipientOpensAndAStrangerDoesNot(t *testing.T) {
	a, ra := newPair(t)
	b, rb := newPair(t)
	stranger, _ := newPair(t)
	for _, n := range []int{0, 1, 64<<10 - 1, 64 << 10, 200_000} {
		plain := someBytes(t, n)
		file, err := SealBytes(plain, ra, rb)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []age.Identity{a, b} {
			got, err := OpenBytes(file, id)
			if err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("size %d: %v", n, err)
			}
		}
		_, err = OpenBytes(file, stranger)
		if uerr.KindOf(err) != uerr.Auth {
			t.Errorf("a stranger's identity: kind %v, error %v", uerr.KindOf(err), err)
		}
		if uerr.HintOf(err) == "" {
			t.Error("no hint")
		}
		if _, err := OpenBytes(file); uerr.KindOf(err) != uerr.Auth {
			t.Errorf("no identity: %v", err)
		}
	}
}

func TestPostQuantumRecipientsWorkAndAreNotMixed(t *testing.T) {
	pq, err := NewPostQuantumIdentity()
	if err != nil {
		t.Fatal(err)
	}
	rs, err := ParseRecipients([]string{pq.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	file, err := SealBytes([]byte("x"), rs...)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := OpenBytes(file, pq); err != nil || string(got) != "x" {
		t.Fatalf("%q %v", got, err)
	}
	classic, r := newPair(t)
	_, err = ParseRecipients([]string{pq.Recipient(), classic.Recipient()})
	if uerr.KindOf(err) != uerr.Config || !strings.Contains(err.Error(), "mixed") {
		t.Errorf("mixing in ParseRecipients: %v", err)
	}
	if _, err := Seal(io.Discard, rs[0], r); uerr.KindOf(err) != uerr.Config {
		t.Errorf("mixing in Seal: %v", err)
	}
}

func TestEveryChangedByteIsNoticed(t *testing.T) {
	id, r := newPair(t)
	plain := someBytes(t, 150_000)
	file, err := SealBytes(plain, r)
	if err != nil {
		t.Fatal(err)
	}
	positions := []int{len(file) - 1, len(file) / 2, len(file) - 64<<10}
	for i := range 220 { // the whole header and the start of the payload
		positions = append(positions, i)
	}
	for _, i := range positions {
		bad := bytes.Clone(file)
		bad[i] ^= 1
		_, err := OpenBytes(bad, id)
		// A change of the recipient stanza itself looks like a file for somebody else.
		if k := uerr.KindOf(err); err == nil || (k != uerr.Integrity && k != uerr.Auth) {
			t.Fatalf("byte %d changed: kind %v, %v", i, k, err)
		}
		if i >= 200 && uerr.KindOf(err) != uerr.Integrity {
			t.Fatalf("payload byte %d changed: %v", i, err)
		}
		if at, _, err := OpenAt(bytes.NewReader(bad), int64(len(bad)), id); err == nil {
			if _, err := at.ReadAt(make([]byte, len(plain)), 0); err == nil || err == io.EOF {
				t.Fatalf("byte %d changed: OpenAt read everything", i)
			}
		}
	}
}

func TestEveryTruncationIsNoticed(t *testing.T) {
	id, r := newPair(t)
	file, err := SealBytes(someBytes(t, 130_000), r)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(file); n += 997 {
		if _, err := OpenBytes(file[:n], id); uerr.KindOf(err) != uerr.Integrity {
			t.Fatalf("cut to %d: kind %v, %v", n, uerr.KindOf(err), err)
		}
	}
	for _, n := range []int{len(file) - 1, len(file) - 16, 200 + 64<<10 + 16} {
		if _, err := OpenBytes(file[:n], id); uerr.KindOf(err) != uerr.Integrity {
			t.Fatalf("cut to %d: %v", n, err)
		}
	}
	if _, err := OpenBytes(append(bytes.Clone(file), 'x'), id); uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("a byte added: %v", err)
	}
}

func TestAnErrorOfTheSourceIsNotCalledTampering(t *testing.T) {
	id, r := newPair(t)
	file, err := SealBytes(someBytes(t, 130_000), r)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("connection reset")
	for _, n := range []int{0, 100, 1000, 100_000} {
		src := io.MultiReader(bytes.NewReader(file[:n]), errReader{broken})
		plain, err := Open(src, id)
		if err == nil {
			_, err = io.ReadAll(plain)
		}
		if !errors.Is(err, broken) {
			t.Errorf("broken after %d: %v", n, err)
		}
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestRandomAccessReadsTheSame(t *testing.T) {
	id, r := newPair(t)
	plain := someBytes(t, 300_000)
	file, err := SealBytes(plain, r)
	if err != nil {
		t.Fatal(err)
	}
	at, size, err := OpenAt(bytes.NewReader(file), int64(len(file)), id)
	if err != nil || size != int64(len(plain)) {
		t.Fatalf("size %d, %v", size, err)
	}
	for _, c := range []struct{ off, n int }{{0, 1}, {65_535, 2}, {100_000, 150_000}, {299_999, 1}, {0, 300_000}} {
		got := make([]byte, c.n)
		if _, err := at.ReadAt(got, int64(c.off)); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if !bytes.Equal(got, plain[c.off:c.off+c.n]) {
			t.Errorf("range %d+%d differs", c.off, c.n)
		}
	}
	stranger, _ := newPair(t)
	if _, _, err := OpenAt(bytes.NewReader(file), int64(len(file)), stranger); uerr.KindOf(err) != uerr.Auth {
		t.Errorf("stranger: %v", err)
	}
	if _, _, err := OpenAt(bytes.NewReader(file[:len(file)-5]), int64(len(file)-5), id); uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("truncated: %v", err)
	}
}

func TestIdentityNeverShowsItself(t *testing.T) {
	id, _ := newPair(t)
	private := id.Secret().Reveal()
	if !strings.HasPrefix(private, "AGE-SECRET-KEY-1") {
		t.Fatal("no private key")
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "id", id)
	js, _ := json.Marshal(map[string]any{"id": id.Secret()})
	for _, out := range []string{fmt.Sprint(id), fmt.Sprintf("%v %+v %#v %s %q %x", id, id, id, id, id, id), log.String(), string(js)} {
		if strings.Contains(out, private[20:]) || strings.Contains(out, "AGE-SECRET") {
			t.Errorf("the private key shows in %q", out)
		}
	}
	if _, err := json.Marshal(id); err == nil {
		t.Error("an identity went into JSON")
	}
}
