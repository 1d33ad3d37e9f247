package backup_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"practicectl/backup"
	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// rangeSpoiler is a real store that spoils answers to requests for stretches of packs, and gives whole ones as they are.
type rangeSpoiler struct {
	objstore.Store
	spoil   func(data []byte) []byte
	spoiled atomic.Int64
}

func (s *rangeSpoiler) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	rc, err := s.Store.Get(ctx, key, off, n)
	if err != nil || !strings.HasPrefix(key, "p/") || n < 0 {
		return rc, err
	}
	data, err := io.ReadAll(rc)
	s.spoiled.Add(1)
	return io.NopCloser(bytes.NewReader(s.spoil(data))), errors.Join(err, rc.Close())
}

// oneOfMany is a repository in whose packs a small file lies among large ones, so that it is read by stretches.
func oneOfMany(t *testing.T) (g *rig, root, pattern string) {
	st, _ := dirStore(t)
	g = newRig(t, st)
	root = writeFiles(t, 41)
	g.run(backup.Source{Paths: []string{root}})
	return g, root, "files" + filepath.ToSlash(root) + "/a"
}

func (g *rig) restorePath(st objstore.Store, target, pattern string) (backup.RestoreReport, error) {
	r, err := backup.Open(g.t.Context(), st, backup.Keys{Identities: []age.Identity{g.identities[0]}})
	if err != nil {
		return backup.RestoreReport{}, err
	}
	plan, err := backup.PlanRestore(g.t.Context(), r, backup.Target{Snapshot: "latest", Dir: target, Paths: []string{pattern}})
	if err != nil {
		return backup.RestoreReport{}, err
	}
	return backup.Restore(g.t.Context(), plan, backup.RestoreOptions{Now: time.Now}, progress.None)
}

// TestO5_StretchesThatAreNotWhatTheyShouldBeAreNotBelieved: nothing authenticates a stretch of a pack but the ids of what is in it.
// Whatever a store gives out for it, the restore is right, since the whole pack is read then; and when that is wrong as well, it is told.
func TestO5_StretchesThatAreNotWhatTheyShouldBeAreNotBelieved(t *testing.T) {
	g, root, pattern := oneOfMany(t)
	for name, spoil := range map[string]func([]byte) []byte{
		"sound":       func(b []byte) []byte { return b },
		"empty":       func([]byte) []byte { return nil },
		"cut short":   func(b []byte) []byte { return b[:len(b)/2] },
		"too long":    func(b []byte) []byte { return append(b, b...) },
		"zeros":       func(b []byte) []byte { return make([]byte, len(b)) },
		"from nearby": func(b []byte) []byte { return append(bytes.Clone(b[1:]), 0) },
		"one bit":     func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
		"first bit":   func(b []byte) []byte { b[0] ^= 1; return b },
		"last bit":    func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			s := &rangeSpoiler{Store: g.store, spoil: spoil}
			target := filepath.Join(t.TempDir(), "neu")
			rep, err := g.restorePath(s, target, pattern)
			if err != nil || s.spoiled.Load() == 0 {
				t.Fatalf("%v; %d stretches asked for", err, s.spoiled.Load())
			}
			if name == "sound" && rep.Read > 2*repo.MaxFrame { // its frame, which may be full of what does not pack, and little else
				t.Errorf("%d bytes read for one small file", rep.Read)
			}
			want, err := os.ReadFile(filepath.Join(root, "a/b/c/d"))
			got, rerr := os.ReadFile(filepath.Join(target, "files", root, "a/b/c/d"))
			if err != nil || rerr != nil || !bytes.Equal(want, got) {
				t.Errorf("it is not what was saved: %v, %v", err, rerr)
			}
		})
	}
}

// TestO5_APackThatWasReplacedByAnotherIsNotBelieved puts another sound pack, sealed to the same recipients, in the place of each.
func TestO5_APackThatWasReplacedByAnotherIsNotBelieved(t *testing.T) {
	g, _, pattern := oneOfMany(t)
	keys := map[string][]byte{}
	for info, err := range g.store.List(t.Context(), "p/") {
		if err != nil {
			t.Fatal(err)
		}
		rc, err := g.store.Get(t.Context(), info.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(rc)
		if err = errors.Join(err, rc.Close()); err != nil {
			t.Fatal(err)
		}
		keys[info.Key] = data
	}
	for key := range keys {
		for from, data := range keys {
			if from == key {
				continue
			}
			if _, err := g.store.Put(t.Context(), key, bytes.NewReader(data), int64(len(data)), objstore.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			for _, p := range []string{pattern, "files"} {
				target := filepath.Join(t.TempDir(), "neu")
				_, err := g.restorePath(g.store, target, p)
				if err != nil && uerr.KindOf(err) != uerr.Integrity || err == nil && p == "files" {
					t.Errorf("%s in the place of %s: %v", from, key, err)
				}
				if _, serr := os.Stat(target); (serr == nil) != (err == nil) {
					t.Errorf("in place: %v, %v", serr, err)
				}
			}
			if _, err := g.store.Put(t.Context(), key, bytes.NewReader(keys[key]), int64(len(keys[key])), objstore.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}
