package repo

import (
	"context"
	"strings"
	"testing"

	"practicectl/internal/objstore/dir"
)

// TestO7_PackLinesCarryVersions: lines with and without a version are read, in headers and in lists.
func TestO7_PackLinesCarryVersions(t *testing.T) {
	id := PackID{7}.String()
	for line, want := range map[string]StoredPack{id + " 12": {PackID{7}, 12, ""}, id + " 12 Ab.-_+/=0": {PackID{7}, 12, "Ab.-_+/=0"}} {
		var p StoredPack
		if err := p.UnmarshalText([]byte(line)); err != nil || p != want {
			t.Errorf("%q: %v, %v", line, p, err)
		}
		if out, err := p.MarshalText(); err != nil || string(out) != line {
			t.Errorf("%q became %q, %v", line, out, err)
		}
	}
	for _, line := range []string{id, id + " x", id + " 12 ", id + " 12 a b", id + " 12 a\nb", id + " 12 " + strings.Repeat("v", maxVersion+1)} {
		if err := new(StoredPack).UnmarshalText([]byte(line)); err == nil {
			t.Errorf("%q was read", line)
		}
	}
	if out, err := (StoredPack{PackID{7}, 12, "a b"}).MarshalText(); err != nil || string(out) != id+" 12" {
		t.Errorf("a version that cannot be read again: %q, %v", out, err)
	}
	var packs []StoredPack
	for n := range 200 {
		packs = append(packs, StoredPack{PackID{byte(n), 31: byte(n)}, int64(n), strings.Repeat("v", n%3)})
	}
	st, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, lists, order := SplitPacks(packs)
	for name, data := range lists {
		if err := Create(context.Background(), st, PackListPrefix+name, data); err != nil {
			t.Fatal(err)
		}
	}
	got, err := (&Repo{Store: st}).Packs(context.Background(), Header{PackLists: order})
	if err != nil || len(got) != len(packs) {
		t.Fatalf("%d packs, %v", len(got), err)
	}
	for i := range got {
		if got[i] != packs[i] {
			t.Errorf("%v became %v", packs[i], got[i])
		}
	}
}
