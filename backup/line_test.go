package backup_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"practicectl/backup"
	"practicectl/internal/objstore"
	"practicectl/internal/objstore/s3"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// badLines are the ways in which the line to the store breaks in the middle of the work.
var badLines = []struct {
	name  string
	spoil func(*testenv.Toxiproxy)
}{
	{"it is down", (*testenv.Toxiproxy).Down},
	{"what is sent is reset", func(p *testenv.Toxiproxy) {
		p.Poison(testenv.Toxic{Type: "reset_peer", Stream: "upstream", Attributes: map[string]int{"timeout": 0}})
	}},
	{"it hangs", func(p *testenv.Toxiproxy) {
		p.Poison(testenv.Toxic{Type: "timeout", Stream: "downstream", Attributes: map[string]int{"timeout": 0}})
	}},
	{"it breaks in the middle of a pack", func(p *testenv.Toxiproxy) {
		p.Poison(testenv.Toxic{Type: "limit_data", Stream: "upstream", Attributes: map[string]int{"bytes": 20 << 10}},
			testenv.Toxic{Type: "limit_data", Stream: "downstream", Attributes: map[string]int{"bytes": 4 << 10}})
	}},
}

// noisy is the bytes that each run has to send: several times the packs that are on their way at once.
const noisy = 4 << 20

// How long a silent line is waited for: where it is meant to break, not long.
const patient, impatient = time.Minute, time.Second

// TestO5_O6_ABadLineToTheStore takes and restores snapshots through a line that is slow and narrow, and then breaks it in the
// middle: the error says so, nothing that was committed is lost, and the next run uses what was stored.
func TestO5_O6_ABadLineToTheStore(t *testing.T) {
	server := testenv.S3(t)
	line := testenv.NewToxiproxy(t, server.Endpoint)
	bucket := server.NewBucket(t, true)
	through := func(stall time.Duration) objstore.Store {
		o := server.Options(bucket, "praxis")
		o.Endpoint, o.Attempts, o.StallTimeout = line.URL, 2, stall
		st, err := s3.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	g := newRig(t, through(patient))
	g.packSize = smallPack
	root := writeFiles(t, 21)
	src := backup.Source{Paths: []string{root}}
	addNoise := func(name string) {
		noise := make([]byte, noisy)
		_, _ = rand.Read(noise)
		if err := os.WriteFile(filepath.Join(root, name), noise, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.run(src)

	line.Poison(testenv.Toxic{Type: "latency", Stream: "downstream", Attributes: map[string]int{"latency": 25, "jitter": 10}},
		testenv.Toxic{Type: "bandwidth", Stream: "upstream", Attributes: map[string]int{"rate": 4000}})
	addNoise("langsam")
	g.run(src)
	slow := filepath.Join(t.TempDir(), "langsam")
	g.restore("latest", slow, backup.RestoreOptions{})
	sameTree(t, root, filepath.Join(slow, "files", root))
	line.Cure()
	committed := g.snapshots()

	for i, bad := range badLines {
		t.Run(bad.name, func(t *testing.T) {
			g.t = t
			addNoise(bad.name)
			o, broken := g.options(), false
			o.Crash = func(point string) {
				if point == "pack stored" && !broken {
					broken = true
					bad.spoil(line)
				}
			}
			g.store = through(impatient)
			_, err := backup.Run(t.Context(), g.host(), src, o, progress.None)
			line.Cure()
			g.store = through(patient)
			if !broken || uerr.KindOf(err) != uerr.Unreachable || uerr.HintOf(err) == "" {
				t.Errorf("backup: broken %v, %v", broken, err)
			}
			if n := g.snapshots(); n != committed+i {
				t.Errorf("%d snapshots after the line broke, want %d", n, committed+i)
			}
			if rep := g.run(src); rep.Uploaded > noisy {
				t.Errorf("the next run sent %d bytes: it did not use the pack that was stored", rep.Uploaded)
			}

			target := filepath.Join(t.TempDir(), "neu")
			g.store = through(impatient)
			plan, err := backup.PlanRestore(t.Context(), g.holder(), backup.Target{Snapshot: "latest", Dir: target})
			if err != nil {
				t.Fatal(err)
			}
			bad.spoil(line)
			_, err = backup.Restore(t.Context(), plan, backup.RestoreOptions{Now: time.Now}, progress.None)
			line.Cure()
			g.store = through(patient)
			if uerr.KindOf(err) != uerr.Unreachable || uerr.HintOf(err) == "" {
				t.Errorf("restore: %v", err)
			}
			if _, err := os.Stat(target); err == nil {
				t.Error("half a copy stands where the whole one belongs")
			}
			g.restore("latest", target, backup.RestoreOptions{})
			sameTree(t, root, filepath.Join(target, "files", root))
		})
	}
	g.t = t
	g.verifyAll()
}
