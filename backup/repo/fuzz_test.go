package repo

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// The parsers below read bytes that a store, or a host in the wrong hands, may have made up: they must refuse or return
// something within bounds, and never panic or take memory out of proportion.

func FuzzParseBlock(f *testing.F) {
	digest := ID{1}
	good, err := json.Marshal(Block{Packs: []PackID{{1}}, Entries: []Entry{
		{Path: "base/1/2", Kind: Pages, Mode: 0o600, Size: 2 * PageSize, Digest: &digest, Runs: []Run{{0, 0, 0, 1}, {ZeroPack, 0, 0, 1}}},
		{Path: "a/b", Kind: File, Size: 3, Digest: &digest, Chunks: []Ref{{0, 1, 2, 3}}}, {Path: "l", Kind: Link, Target: "x"}, {Path: "d", Kind: Dir, Mode: 0o700},
	}})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := ParseBlock(good); err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"packs":[],"entries":[{"path":"../x","kind":"dir"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ParseBlock(data)
		if err != nil {
			return
		}
		for _, e := range b.Entries {
			if !SafePath(e.Path) || strings.HasPrefix(e.Path, "/") || strings.Contains("/"+e.Path+"/", "/../") {
				t.Errorf("path %q passed", e.Path)
			}
			for _, r := range append(e.Maps, e.Chunks...) {
				if r[0] < 0 || int(r[0]) >= len(b.Packs) || r[2]+r[3] > MaxFrame {
					t.Errorf("reference %v passed", r)
				}
			}
		}
	})
}

func FuzzParsePageMap(f *testing.F) {
	f.Add([]byte(`{"packs":["` + strings.Repeat("0a", 32) + `"],"runs":[[0,3,2,100],[-1,0,0,5]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParsePageMap(data)
		if err != nil {
			return
		}
		total := int64(0)
		for _, r := range m.Runs {
			total += r[3]
		}
		if total > MaxMapPages {
			t.Errorf("%d pages passed", total)
		}
	})
}

func FuzzReadSeekTable(f *testing.F) {
	enc, err := NewEncoder()
	if err != nil {
		f.Fatal(err)
	}
	var pack bytes.Buffer
	if err := packFrames(&pack, []Frame{{enc.EncodeAll([]byte("abc"), nil), 3}, {enc.EncodeAll(make([]byte, PageSize), nil), PageSize}}); err != nil {
		f.Fatal(err)
	}
	f.Add(pack.Bytes())
	f.Add(pack.Bytes()[3:])
	dec, err := NewDecoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frames, err := ReadSeekTable(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		for _, s := range frames[:min(len(frames), 50)] {
			if out, err := s.Unpack(dec, data[s.Off:][:s.Len], []byte("before")); err == nil && (len(out) > MaxFrame || len(out) != s.Size) {
				t.Errorf("frame of %d bytes", len(out))
			}
		}
	})
}

func FuzzDecodeSegment(f *testing.F) {
	f.Add(encodeSegment([]PackIndex{{Pack: StoredPack{ID: PackID{1}, Size: 5}, Frames: []FrameIndex{{Kind: PageFrame, IDs: []ID{{1}, {2}}}, {Kind: ChunkFrame, IDs: []ID{{3}}, Lens: []uint32{7}}}}}))
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		packs, err := decodeSegment(data)
		if err == nil && !bytes.Equal(encodeSegment(packs), data) {
			t.Error("another encoding of the same passed")
		}
	})
}

func FuzzParseSnapshot(f *testing.F) {
	key, err := NewSigningKey()
	if err != nil {
		f.Fatal(err)
	}
	s := Settings{Repository: "r", Writers: []Writer{{Host: "h", Key: PublicOf(key)}}}
	created := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	id := strings.Repeat("ab", 16)
	name := SnapshotKey("h", created, id)
	good, err := EncodeSnapshot(Header{Format: Format, Repository: "r", ID: id, Host: "h", Created: created}, []byte("body"), key)
	if err != nil {
		f.Fatal(err)
	}
	if _, body, err := ParseSnapshot(name, good, s); err != nil || string(body) != "body" {
		f.Fatalf("%q, %v", body, err)
	}
	f.Add(name, good)
	f.Add("s/h/20261123T020000Z-"+strings.Repeat("cd", 16), good)
	f.Fuzz(func(t *testing.T, key string, data []byte) {
		if _, _, err := ParseSnapshot(key, data, s); err == nil && (key != name || !bytes.Equal(data, good)) {
			t.Errorf("a forged snapshot passed under %q", key)
		}
	})
}

func TestSignaturesOfOneKindAreWorthNothingForAnother(t *testing.T) {
	key, err := NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	root, err := SignRoot(Root{Format: Format, ID: "r", Owner: PublicOf(key)}, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseRoot(root); err != nil {
		t.Error(err)
	}
	asSettings, err := SignSettings(Settings{Format: Format, Repository: "r", Generation: 1}, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseRoot(asSettings); err == nil {
		t.Error("settings pass as a root")
	}
}

func TestIdsDependOnKeyEpochAndKind(t *testing.T) {
	a, err := NewIndexKey(1)
	if err != nil {
		t.Fatal(err)
	}
	b := a
	b.Epoch = 2
	page := bytes.Repeat([]byte("x"), PageSize)
	seen := map[ID]bool{}
	for _, id := range []ID{a.Hasher().Page(page), b.Hasher().Page(page), a.Hasher().Chunk(page), a.Hasher().Digest(page)} {
		if seen[id] {
			t.Errorf("%s twice", id)
		}
		seen[id] = true
	}
	enc, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := ParseIndexKey(enc); err != nil || back != a {
		t.Errorf("%v, %v", back, err)
	}
}

func TestManyPacksAreListedApartAndMostListsAreReused(t *testing.T) {
	packs := make([]StoredPack, 2000)
	for i := range packs {
		packs[i] = StoredPack{ID: PackID([]byte(DocumentSum([]byte{byte(i), byte(i >> 8)}))[:32]), Size: int64(i)}
		packs[i].ID[31] = byte(i * 7)
	}
	_, lists, order := SplitPacks(append([]StoredPack(nil), packs...))
	_, again, _ := SplitPacks(append([]StoredPack{{ID: PackID{9, 9}, Size: 1}}, packs...))
	fresh := 0
	for name := range again {
		if lists[name] == nil {
			fresh++
		}
	}
	if len(order) < 5 || fresh != 1 {
		t.Errorf("%d lists, of which %d are new after one more pack", len(order), fresh)
	}
	if inline, lists, _ := SplitPacks(packs[:64]); len(inline) != 64 || lists != nil {
		t.Errorf("%d inline, %d lists", len(inline), len(lists))
	}
}

func TestPackIsASeekableZstdFile(t *testing.T) {
	enc, err := NewEncoder()
	if err != nil {
		t.Fatal(err)
	}
	var pack bytes.Buffer
	if err := packFrames(&pack, []Frame{{enc.EncodeAll([]byte("abc"), nil), 3}, {enc.EncodeAll([]byte("defg"), nil), 4}}); err != nil {
		t.Fatal(err)
	}
	plain, err := zstd.NewReader(&pack)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	var out bytes.Buffer
	if _, err := out.ReadFrom(plain); err != nil || out.String() != "abcdefg" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func packFrames(w io.Writer, frames []Frame) error {
	p := NewPackWriter(w)
	for _, f := range frames {
		if err := p.Add(f); err != nil {
			return err
		}
	}
	return p.Close()
}
