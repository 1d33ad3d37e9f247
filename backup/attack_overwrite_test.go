package backup_test

import (
	"bytes"
	"testing"

	"practicectl/backup"
	"practicectl/backup/repo"
	"practicectl/internal/uerr"
)

// TestO7_AttacksThatOverwrite put other bytes over what is stored.
func TestO7_AttacksThatOverwrite(t *testing.T) {
	withstand(t, []attack{
		{name: "packs with junk of the same size", do: func(a *attacked) {
			a.overwrite("p/", func(old []byte) []byte { return bytes.Repeat([]byte{7}, len(old)) })
		}},
		{name: "a bit of each pack", do: func(a *attacked) { a.overwrite("p/", flipped) }},
		{name: "packs cut short", do: func(a *attacked) { a.overwrite("p/", func(old []byte) []byte { return old[:len(old)/2] }) }},
		{name: "packs with nothing", do: func(a *attacked) { a.overwrite("p/", func([]byte) []byte { return nil }) }},
		{name: "packs with each other", do: func(a *attacked) {
			packs := a.keysUnder("p/")
			first := a.get(packs[0])
			for i, key := range packs {
				data := first
				if i+1 < len(packs) {
					data = a.get(packs[i+1])
				}
				a.put(key, data)
			}
		}},
		{name: "snapshots with junk", do: func(a *attacked) { a.overwrite("s/", func([]byte) []byte { return []byte("junk") }) }},
		{name: "snapshots with one bit of the body", do: func(a *attacked) {
			a.overwrite("s/", func(old []byte) []byte { old[len(old)-9] ^= 1; return old })
		}},
		{name: "snapshots with signed ones that need nothing", do: func(a *attacked) {
			for _, old := range a.before {
				h := old.Snapshot
				h.Packs, h.PackLists, h.Bytes, h.Root = []repo.StoredPack{}, []string{}, 0, repo.ID{}
				data, err := repo.EncodeSnapshot(h, []byte("body"), a.keys.Signing)
				if err != nil {
					a.t.Fatal(err)
				}
				a.put(old.Key, data)
			}
		}},
		{name: "the root and the settings with junk", do: func(a *attacked) {
			a.overwrite("repo.json", func([]byte) []byte { return []byte("{}") })
			a.overwrite("r/", func([]byte) []byte { return []byte("{}") })
		}},
		{name: "the index", do: func(a *attacked) {
			a.overwrite("i/", flipped)
			a.put("i/praxis-1/00000099", []byte("junk"))
			a.put("i/praxis-1/99999999999", []byte("junk"))
		}},
		{name: "everything, after the cache is gone", do: func(a *attacked) {
			a.overwrite("", flipped)
			a.cache = a.t.TempDir()
		}},
	})
}

// TestO7_AttacksOnListsOfPacks: a snapshot of many packs lists them apart.
func TestO7_AttacksOnListsOfPacks(t *testing.T) {
	a := newAttackedOf(t, newLockRig(t, true).server, 140<<20)
	if len(a.before[0].Snapshot.PackLists) == 0 {
		t.Fatalf("there are no lists; %d packs", a.before[0].Packs)
	}
	lists := a.keysUnder("n/")
	other := a.get(a.keysUnder("p/")[0])
	a.overwrite("n/", func([]byte) []byte { return other })
	a.withstood()
	a.hide("n/")
	if gone := a.deleteForGood("n/"); gone > 0 {
		t.Errorf("%d of %d lists could be deleted", gone, len(lists))
	}
	a.withstood()
}

// TestO7_VerifyTellsWhatWasPutOverObjects although everything can still be read.
func TestO7_VerifyTellsWhatWasPutOverObjects(t *testing.T) {
	server := newLockRig(t, true).server
	a := newAttacked(t, server)
	a.overwrite("p/", flipped)
	a.hide("s/")
	r, err := a.victim()
	if err != nil {
		t.Fatal(err)
	}
	rep, err := backup.Verify(t.Context(), r, backup.VerifyOptions{}, nothingToReport)
	if err != nil || len(rep.Problems) != 0 {
		t.Errorf("%v: %v", err, rep.Problems)
	}
	if want := len(a.keysUnder("p/")) + 2; len(rep.Shadowed) < want {
		t.Errorf("%d objects are told of %d", len(rep.Shadowed), want)
	}
	items, err := backup.List(t.Context(), r)
	if err != nil || len(items) != 2 || items[0].Shadowed == "" {
		t.Errorf("%+v, %v", items, err)
	}
	// In a store that keeps nothing, the same is damage and is told as such.
	st, _ := dirStore(t)
	g := newRig(t, st)
	g.run(a.src)
	for info, err := range st.List(t.Context(), "p/") {
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Delete(t.Context(), info.Key); err != nil {
			t.Fatal(err)
		}
		break
	}
	if _, err := backup.Verify(t.Context(), g.holder(), backup.VerifyOptions{}, nothingToReport); uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("a folder: %v", err)
	}
}
