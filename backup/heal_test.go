package backup_test

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"practicectl/backup"
	"practicectl/backup/heal"
	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/objstore/dir"
	"practicectl/internal/objstore/storetest"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// twoStores is a repository with two snapshots of files in one folder, and another folder for its copy.
type twoStores struct {
	*rig
	src          backup.Source
	first, other string // folders
}

func newTwoStores(t *testing.T) *twoStores {
	t.Helper()
	st, folder := dirStore(t)
	g := newRig(t, st)
	g.packSize = 64 << 10
	w := &twoStores{rig: g, src: backup.Source{Paths: []string{writeFiles(t, 9)}}, first: folder}
	g.run(w.src)
	w.change(t, "neu")
	_, w.other = dirStore(t)
	return w
}

// change takes another snapshot of changed files.
func (w *twoStores) change(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(w.src.Paths[0], name), bytes.Repeat([]byte(name+"\n"), 9000), 0o600); err != nil {
		t.Fatal(err)
	}
	w.run(w.src)
}

func (w *twoStores) sides(t *testing.T) (a, b heal.Side) {
	return heal.Side{Name: "store", Store: reopen(t, w.first)}, heal.Side{Name: "nas", Store: reopen(t, w.other)}
}

func (w *twoStores) copy(t *testing.T, b objstore.Store) (heal.Report, error) {
	t.Helper()
	from, to := w.sides(t)
	if b != nil {
		to.Store = b
	}
	return heal.Copy(t.Context(), w.host(), from, to, heal.Options{Now: time.Now}, progress.None)
}

func (w *twoStores) heal(t *testing.T) (heal.Report, error) {
	t.Helper()
	a, b := w.sides(t)
	r, err := heal.Open(t.Context(), w.keys, a.Store, b.Store)
	if err != nil {
		return heal.Report{}, err
	}
	return heal.Heal(t.Context(), r, a, b, heal.Options{Read: true, Now: time.Now}, progress.None)
}

// verify reads everything in a folder, as a stranger without a key does.
func (w *twoStores) verify(t *testing.T, folder string, snapshots int) {
	t.Helper()
	r, err := backup.Open(t.Context(), reopen(t, folder), backup.Keys{Pin: w.keys.Pin})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := backup.Verify(t.Context(), r, backup.VerifyOptions{}, progress.None)
	if err != nil || rep.Snapshots != snapshots {
		t.Fatalf("%d snapshots, want %d; %v", rep.Snapshots, snapshots, err)
	}
}

// content is what lies in a store folder, but for the index, which stays in its store.
func content(t *testing.T, folder string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, key := range objects(t, folder) {
		if strings.HasPrefix(key, repo.IndexPrefix) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(folder, key))
		if err != nil {
			t.Fatal(err)
		}
		out[key] = string(data)
	}
	return out
}

func stored(rep heal.Report) (objects int) {
	for _, s := range rep.Sides {
		n, _ := s.Stored()
		objects += n
	}
	return objects
}

func TestO7_ACopyIsTheSameRepositoryAndTakesOnlyWhatIsNew(t *testing.T) {
	w := newTwoStores(t)
	rep, err := w.copy(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Snapshots != 2 || !maps.Equal(content(t, w.first), content(t, w.other)) {
		t.Fatalf("%d snapshots; %v and %v", rep.Snapshots, objects(t, w.first), objects(t, w.other))
	}
	w.verify(t, w.other, 2)
	if rep, err = w.copy(t, nil); err != nil || stored(rep) != 0 {
		t.Fatalf("nothing is new and %d objects were stored: %v", stored(rep), err)
	}
	before := len(content(t, w.other))
	w.change(t, "noch eins")
	rep, err = w.copy(t, nil)
	if fresh := len(content(t, w.first)) - before; err != nil || stored(rep) != fresh || fresh > 12 {
		t.Fatalf("%d new objects, %d stored: %v", fresh, stored(rep), err)
	}
	w.verify(t, w.other, 3)
}

// TestO7_TwoStoresHealEachOther damages every object in one way or another, on either side and never the same on both.
func TestO7_TwoStoresHealEachOther(t *testing.T) {
	w := newTwoStores(t)
	if _, err := w.copy(t, nil); err != nil {
		t.Fatal(err)
	}
	want := content(t, w.first)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, key := range slices.Sorted(maps.Keys(want)) {
		path := filepath.Join([]string{w.first, w.other}[random.IntN(2)], key)
		damage(t, path, random.IntN(4))
	}
	rep, err := w.heal(t)
	if err != nil {
		t.Fatal(err)
	}
	if n := stored(rep); n != len(want) || rep.Snapshots != 2 {
		t.Errorf("%d of %d objects were mended, %d snapshots", n, len(want), rep.Snapshots)
	}
	if !maps.Equal(want, content(t, w.first)) || !maps.Equal(want, content(t, w.other)) {
		t.Error("the stores are not what they were")
	}
	w.verify(t, w.first, 2)
	w.verify(t, w.other, 2)
	if rep, err := w.heal(t); err != nil || stored(rep) != 0 {
		t.Errorf("a second run stored %d objects: %v", stored(rep), err)
	}
}

// damage removes a file, flips a bit of it, cuts it or makes it longer.
func damage(t *testing.T, path string, how int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(path, 0o600)
	switch {
	case how == 0:
		err = os.Remove(path)
	case how == 1:
		data[len(data)/2] ^= 1
		err = os.WriteFile(path, data, 0o600)
	case how == 2:
		err = os.WriteFile(path, data[:len(data)/2], 0o600)
	default:
		err = os.WriteFile(path, append(data, 'x'), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestO7_WhatNeitherStoreHasIsSaidAndNotPassedOn: a snapshot that lacks a pack is not committed to the copy; the others are.
func TestO7_WhatNeitherStoreHasIsSaidAndNotPassedOn(t *testing.T) {
	w := newTwoStores(t)
	all, err := w.host().Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	old, err := w.host().Packs(t.Context(), all[0].Header)
	if err != nil {
		t.Fatal(err)
	}
	newer, err := w.host().Packs(t.Context(), all[1].Header)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(newer, func(p repo.StoredPack) bool { return !slices.Contains(old, p) })
	damage(t, filepath.Join(w.first, newer[i].ID.Key()), 1)
	rep, err := w.copy(t, nil)
	if uerr.KindOf(err) != uerr.Integrity || len(rep.Problems) != 2 || rep.Snapshots != 1 {
		t.Fatalf("%d snapshots, %q: %v", rep.Snapshots, rep.Problems, err)
	}
	w.verify(t, w.other, 1)
	// The next snapshot finds the damage no more than this one; but when the pack comes back, so does the snapshot.
	data, err := os.ReadFile(filepath.Join(w.first, newer[i].ID.Key()))
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(filepath.Join(w.other, newer[i].ID.Key()), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.heal(t); err != nil {
		t.Fatal(err)
	}
	w.verify(t, w.first, 2)
	w.verify(t, w.other, 2)
}

// TestO7_ACopyThatBreaksOffAnywhereIsFinishedByTheNext fails each request to the copy once, and looks at what is there after each.
func TestO7_ACopyThatBreaksOffAnywhereIsFinishedByTheNext(t *testing.T) {
	w := newTwoStores(t)
	away := errors.Join(objstore.ErrUnreachable)
	for n := 1; ; n++ {
		_, w.other = dirStore(t)
		st, err := dir.Open(w.other)
		if err != nil {
			t.Fatal(err)
		}
		broken := storetest.NewFaulty(st, storetest.Rule{Nth: n, Err: away})
		_, err = w.copy(t, broken)
		if err == nil {
			if n < 12 {
				t.Fatalf("only %d requests", n)
			}
			return
		}
		if uerr.KindOf(err) != uerr.Unreachable {
			t.Fatalf("request %d: %v", n, err)
		}
		if r, err := backup.Open(t.Context(), st, backup.Keys{}); err == nil { // what is committed is whole
			if _, err := backup.Verify(t.Context(), r, backup.VerifyOptions{}, progress.None); err != nil {
				t.Fatalf("request %d left a broken snapshot: %v", n, err)
			}
		}
		if _, err := w.copy(t, nil); err != nil {
			t.Fatalf("after request %d: %v", n, err)
		}
		w.verify(t, w.other, 2)
	}
}

// TestO7_WhatWasPrunedDoesNotComeBack: a snapshot that one store pruned while the other was away stays away.
func TestO7_WhatWasPrunedDoesNotComeBack(t *testing.T) {
	w := newTwoStores(t)
	if _, err := w.copy(t, nil); err != nil {
		t.Fatal(err)
	}
	all, err := w.host().Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		damage(t, filepath.Join(w.first, s.Key), 0)
	}
	a, b := w.sides(t)
	expired := func(headers []repo.Header) map[string]bool {
		if len(headers) != len(all) {
			t.Errorf("%d headers", len(headers))
		}
		return map[string]bool{all[0].Header.ID: true}
	}
	if _, err := heal.Heal(t.Context(), w.host(), a, b, heal.Options{Read: true, Now: time.Now, Expired: expired}, progress.None); err != nil {
		t.Fatal(err)
	}
	w.verify(t, w.first, 1)
	w.verify(t, w.other, 2)
}

func TestO7_AnotherRepositoryIsNotCopiedOver(t *testing.T) {
	w := newTwoStores(t)
	strange, folder := dirStore(t)
	newRig(t, strange)
	before := content(t, folder)
	if _, err := w.copy(t, strange); uerr.KindOf(err) != uerr.LossGuard {
		t.Fatal(err)
	}
	if !maps.Equal(before, content(t, folder)) {
		t.Error("something was written")
	}
}

// TestO7_ALockedCopyIsMendedByNewVersions: a bucket with object lock gets a copy that is locked as long as the snapshot's class
// promises; who has its credentials can only put things on top, and the next run puts the right ones on top of these.
func TestO7_ALockedCopyIsMendedByNewVersions(t *testing.T) {
	w := newTwoStores(t)
	server := testenv.S3(t)
	a, _ := w.sides(t)
	b := heal.Side{Name: "offsite", Store: server.Open(t, server.NewBucket(t, true), "copy"), Locks: true, Cache: t.TempDir()}
	now := time.Now()
	if _, err := heal.Copy(t.Context(), w.host(), a, b, heal.Options{Now: time.Now}, progress.None); err != nil {
		t.Fatal(err)
	}
	all, err := w.host().Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	monthly, err := w.host().Packs(t.Context(), all[0].Header) // the first of the month
	if err != nil {
		t.Fatal(err)
	}
	promised := map[string]time.Duration{repo.RootKey: 730 * day, repo.SettingsKey(1): 730 * day, all[0].Key: 730 * day}
	for _, p := range monthly {
		promised[p.ID.Key()] = 730 * day
	}
	keys := slices.Sorted(maps.Keys(content(t, w.first)))
	for _, key := range keys {
		info, err := b.Store.Stat(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if want := now.Add(max(promised[key], 14*day)); info.RetainUntil.Before(want) {
			t.Errorf("%s is locked until %s, and should be until %s", key, info.RetainUntil, want)
		}
	}
	for i, key := range keys {
		if i%2 == 0 {
			err = b.Store.Delete(t.Context(), key)
		} else {
			_, err = b.Store.Put(t.Context(), key, strings.NewReader("junk"), 4, objstore.PutOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	rep, err := heal.Heal(t.Context(), w.host(), a, b, heal.Options{Read: true, Now: time.Now}, progress.None)
	if err != nil || len(rep.Problems) != 0 {
		t.Fatal(rep.Problems, err)
	}
	r, err := backup.Open(t.Context(), b.Store, backup.Keys{Pin: w.keys.Pin})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := backup.Verify(t.Context(), r, backup.VerifyOptions{}, progress.None); err != nil || got.Snapshots != 2 {
		t.Fatalf("%+v %v", got, err)
	}
}
