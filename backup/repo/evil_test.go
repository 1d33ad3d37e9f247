package repo

import (
	"encoding/json"
	"testing"

	"filippo.io/age"
)

// TestO5_ABodyCannotHurtTheMachineThatRestores: each of these is signed and sealed by a host with its real keys.
func TestO5_ABodyCannotHurtTheMachineThatRestores(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	open := func(h Header, b Body) error {
		h.ID, b.Format, b.Snapshot = "x", Format, "x"
		data, err := SealBody(b, []age.Recipient{id.Recipient()})
		if err != nil {
			t.Fatal(err)
		}
		_, err = OpenBody(h, data, id)
		return err
	}
	db := func(change func(*DatabaseBody)) Body {
		d := &DatabaseBody{SegmentSize: 16 << 20, Tablespaces: []Tablespace{{OID: "16400"}}}
		change(d)
		return Body{Trees: []Tree{{Name: "pg"}, {Name: "files"}}, Database: d}
	}
	withDatabase := Header{Database: &DatabaseFacts{}}
	if err := open(withDatabase, db(func(*DatabaseBody) {})); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"tree at the root":        open(Header{}, Body{Trees: []Tree{{Name: "/etc"}}}),
		"tree above":              open(Header{}, Body{Trees: []Tree{{Name: ".."}}}),
		"tree below":              open(Header{}, Body{Trees: []Tree{{Name: "a/b"}}}),
		"tree without a name":     open(Header{}, Body{Trees: []Tree{{}}}),
		"tablespace elsewhere":    open(withDatabase, db(func(d *DatabaseBody) { d.Tablespaces[0].OID = "../../pg_wal" })),
		"log of no size":          open(withDatabase, db(func(d *DatabaseBody) { d.SegmentSize = 0 })),
		"log of an odd size":      open(withDatabase, db(func(d *DatabaseBody) { d.SegmentSize = 3 << 20 })),
		"log of 2^32 bytes":       open(withDatabase, db(func(d *DatabaseBody) { d.SegmentSize = 1 << 32 })),
		"database without header": open(Header{}, db(func(*DatabaseBody) {})),
		"header without database": open(withDatabase, Body{}),
	} {
		if err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	digest := ID{1}
	block, err := json.Marshal(Block{Packs: []PackID{{1}}, Entries: []Entry{{Path: "a", Kind: Pages, Size: 1 << 60, Digest: &digest, Maps: []Ref{{}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseBlock(block); err == nil {
		t.Error("a file of 2^60 bytes with one page map: read")
	}
}
