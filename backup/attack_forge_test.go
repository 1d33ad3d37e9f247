package backup_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"practicectl/backup"
	"practicectl/backup/repo"
	"practicectl/backup/retain"
	"practicectl/internal/progress"
	"practicectl/internal/sealed"
)

var nothingToReport = progress.None

// fake signs a snapshot with the host's key and stores it.
func (a *attacked) fake(created time.Time, n int, change func(h *repo.Header)) {
	a.t.Helper()
	h := a.before[1].Snapshot
	h.ID, h.Created, h.Committed = fmt.Sprintf("%032x", 0xfa4e0000+n), created.UTC().Truncate(time.Second), created.UTC().Truncate(time.Second)
	h.LockedUntil = time.Time{}
	if change != nil {
		change(&h)
	}
	data, err := repo.EncodeSnapshot(h, []byte("no body"), a.keys.Signing)
	if err != nil {
		a.t.Fatal(err)
	}
	a.put(repo.SnapshotKey(h.Host, h.Created, h.ID), data)
}

// expireEverything prunes as the attacker does: every doubt accepted, nothing kept by the calendar, at a time of his choice. The
// store's own clock is asked for nothing.
func (a *attacked) expireEverything(at time.Time) {
	a.t.Helper()
	clock := newClocked(a.raw, at)
	for _, o := range a.objects {
		clock.times[o.Key] = at.Add(-100 * day)
		clock.times[o.Key+" "+o.Version] = at.Add(-100 * day)
	}
	o := backup.PruneOptions{Policy: retain.Policy{Daily: 1}, Now: func() time.Time { return at }, Accept: retain.DoubtNames}
	for _, before := range a.before {
		o.Drop = append(o.Drop, before.Key)
	}
	for i := range 3 {
		clock.now = at.Add(time.Duration(i) * 30 * day)
		r, err := backup.Open(a.t.Context(), clock, a.keys)
		if err != nil {
			a.t.Fatal(err)
		}
		plan, err := backup.PlanPrune(a.t.Context(), r, o)
		if err != nil {
			continue
		}
		_, _ = plan.Run(a.t.Context(), progress.None)
	}
}

// TestO7_AttacksThatForge use the host's own keys to say what is not so.
func TestO7_AttacksThatForge(t *testing.T) {
	withstand(t, []attack{
		{name: "a flood of snapshots, then prune", do: func(a *attacked) {
			for i := range 60 {
				a.fake(time.Now().Add(-time.Duration(i)*time.Hour), i, nil)
			}
			a.expireEverything(time.Now())
		}},
		{name: "a flood on every day and month before", do: func(a *attacked) {
			for i := range 40 {
				a.fake(time.Now().AddDate(0, -i, 0), i, nil)
				a.fake(time.Now().AddDate(0, 0, -i), 100+i, nil)
			}
			a.expireEverything(time.Now())
		}},
		{name: "snapshots of the year 2099", do: func(a *attacked) {
			for i := range 5 {
				a.fake(time.Date(2099, 1, 1+i, 0, 0, 0, 0, time.UTC), i, nil)
			}
		}},
		{name: "tiny snapshots", do: func(a *attacked) {
			for i := range 30 {
				a.fake(time.Now().Add(time.Duration(i)*time.Second), i, func(h *repo.Header) { h.Bytes, h.Packs, h.PackLists = 1, nil, nil })
			}
			a.expireEverything(time.Now())
		}},
		{name: "the clock of 2040", do: func(a *attacked) { a.expireEverything(time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)) }},
		{name: "lists of garbage that name all packs", do: func(a *attacked) {
			keys := append(a.keysUnder("p/"), a.keysUnder("n/")...)
			keys = append(keys, a.keysUnder("s/")...)
			keys = append(keys, "repo.json", "r/00000001", "../escape")
			id := strings.Repeat("ab", 16)
			data, err := repo.SignTombstones(repo.Tombstones{Format: repo.Format, Repository: a.keys.Pin.Repository, ID: id, Host: "praxis-1", Created: time.Now().AddDate(-1, 0, 0), Keys: keys}, a.keys.Signing)
			if err != nil {
				a.t.Fatal(err)
			}
			a.put(repo.TombstoneKey(id), data)
			a.put("t/"+strings.Repeat("cd", 16), []byte("junk"))
			a.expireEverything(time.Now())
		}},
		{name: "settings of another owner", do: func(a *attacked) { a.forgeSettings(a.newKey()) }},
		{name: "settings signed by the host", do: func(a *attacked) { a.forgeSettings(a.keys.Signing) }},
		{name: "settings that are junk", do: func(a *attacked) {
			a.put("r/00000002", []byte("junk"))
			a.put("r/00000003", []byte("junk"))
		}},
		{name: "another repository in the place of this one", do: func(a *attacked) {
			other, _ := dirStore(a.t)
			g := newRig(a.t, other)
			g.run(a.src)
			for info, err := range other.List(a.t.Context(), "") {
				if err != nil {
					a.t.Fatal(err)
				}
				data, err := repo.ReadObject(a.t.Context(), other, info.Key, 1<<30)
				if err != nil {
					a.t.Fatal(err)
				}
				a.put(info.Key, data)
			}
		}},
		{name: "a lease that never ends", do: func(a *attacked) {
			for range 3 {
				a.put("l/collect", []byte(`{"format":1,"holder":"me","host":"me","generation":99999}`))
			}
		}},
		{name: "names that nobody of ours uses", do: func(a *attacked) {
			for _, key := range []string{"s/praxis-1/zzz", "s/zzz", "s/praxis-1/20990101T000000Z-" + strings.Repeat("0", 31), "h/x", "h/x/y", "t/x", "i/praxis-1/x", "n/x", "p/x", "w/x", "w/1/00000001/x", "k/x", "e/x", "g/x"} {
				a.put(key, []byte("junk"))
			}
		}},
	})
}

func (a *attacked) newKey() []byte {
	a.t.Helper()
	key, err := repo.NewSigningKey()
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

// forgeSettings stores a second generation with recipients of the attacker's.
func (a *attacked) forgeSettings(key []byte) {
	a.t.Helper()
	s := a.host().Settings
	s.Generation, s.Previous = 2, repo.DocumentSum(a.get("r/00000001"))
	s.Recipients = nil
	for range 2 {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			a.t.Fatal(err)
		}
		s.Recipients = append(s.Recipients, id.Recipient().String())
	}
	data, err := repo.SignSettings(s, key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.put("r/00000002", data)
	for _, one := range a.host().Settings.Recipients {
		if !slices.Contains(a.recipients, one) {
			a.t.Errorf("the forged recipient %s is believed", one)
		}
	}
}

// TestO7_AHoldCannotBeTakenAwayWithTheHostsKeys: neither deleted nor ended, and the lock lasts as long as it.
func TestO7_AHoldCannotBeTakenAwayWithTheHostsKeys(t *testing.T) {
	a := newAttacked(t, newLockRig(t, true).server)
	now := time.Now()
	until := now.AddDate(10, 0, 0)
	held := a.before[0]
	hold, err := backup.AddHold(t.Context(), a.host(), backup.HoldOptions{Snapshot: held.Snapshot.ID, Until: until, Reason: "Verfahren", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	end := backup.Hold{Format: repo.Format, Repository: hold.Repository, ID: strings.Repeat("ef", 16), Snapshot: hold.Snapshot, Host: "praxis-1", Created: now.UTC(), Ends: hold.ID}
	over := hold
	over.Until = now.UTC().Add(-time.Hour)
	for _, forged := range []backup.Hold{end, over} {
		data, err := repo.SignHold(forged, a.keys.Signing)
		if err != nil {
			t.Fatal(err)
		}
		a.put(forged.Key(), data)
	}
	if err := a.raw.Delete(t.Context(), hold.Key()); err != nil {
		t.Fatal(err)
	}
	holds, ignored, err := backup.Holds(t.Context(), a.host(), now)
	if err != nil || len(holds) != 1 || len(ignored) != 1 || !holds[0].Until.Equal(hold.Until) {
		t.Errorf("%+v, %v, %v", holds, ignored, err)
	}
	for _, p := range held.Snapshot.Packs {
		info, err := a.raw.Stat(t.Context(), p.ID.Key())
		if err != nil || info.RetainUntil.Before(until.Add(-time.Minute)) {
			t.Errorf("a pack is locked until %s: %v", info.RetainUntil, err)
		}
	}
	a.withstood()
}

// TestO7_PoisonedContentIsFoundAndHurtsNoOlderSnapshot: with the index key an attacker can store garbage under the right ids, and
// later snapshots refer to it. What was there before is whole; what came after is told.
func TestO7_PoisonedContentIsFoundAndHurtsNoOlderSnapshot(t *testing.T) {
	a := newAttacked(t, newLockRig(t, true).server)
	p := &pruneRig{rig: a.rig, src: a.src}
	victim := filepath.Join(a.src.Paths[0], "spaeter")
	p.write("spaeter", 77, 50<<10)
	a.poison(t, victim)
	a.withoutFile(t, victim, a.withstood)
	later := a.run(a.src)
	r, err := a.victim()
	if err != nil {
		t.Fatal(err)
	}
	if rep, err := backup.Verify(t.Context(), r, backup.VerifyOptions{Snapshot: later.Snapshot.ID}, progress.None); err == nil {
		t.Errorf("the poisoned snapshot passes: %+v", rep)
	}
	a.withoutFile(t, victim, a.withstood)
}

// poison stores garbage under the id of a file's content, and an index segment that says where it lies.
func (a *attacked) poison(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := repo.NewEncoder()
	if err != nil {
		t.Fatal(err)
	}
	garbage := bytes.Repeat([]byte("x"), len(content))
	var pack bytes.Buffer
	sealer, err := sealed.Seal(&pack, a.host().Recipients...)
	if err == nil {
		plain := repo.NewPackWriter(sealer)
		err = errors.Join(plain.Add(repo.Frame{Data: enc.EncodeAll(garbage, nil), Size: len(garbage)}), plain.Close())
	}
	if err == nil {
		err = sealer.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	id := repo.PackID(sha256.Sum256(pack.Bytes()))
	a.put(id.Key(), pack.Bytes())
	key := repo.SegmentKey("praxis-1", 77)
	segment, err := a.keys.Index.SealSegment(key, []repo.PackIndex{{Pack: repo.StoredPack{ID: id, Size: int64(pack.Len())}, Frames: []repo.FrameIndex{
		{Kind: repo.ChunkFrame, IDs: []repo.ID{a.keys.Index.Hasher().Chunk(content)}, Lens: []uint32{uint32(len(content))}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	a.put(key, segment)
}

// withoutFile does something while a file that came after the attack is away.
func (a *attacked) withoutFile(t *testing.T, path string, do func()) {
	t.Helper()
	aside := filepath.Join(t.TempDir(), "aside")
	if err := os.Rename(path, aside); err != nil {
		t.Fatal(err)
	}
	do()
	if err := os.Rename(aside, path); err != nil {
		t.Fatal(err)
	}
}
