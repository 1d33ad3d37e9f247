package drill_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"practicectl/backup/drill"
	"practicectl/backup/repo"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// failing makes a rig without a database whose drills all fail at once, and so write evidence quickly.
func failing(t *testing.T) *rig { return newRig(t, &pgcluster.Cluster{}) }

// write leaves n pieces of evidence.
func (g *rig) write(n int, change ...func(*drill.Options)) {
	g.t.Helper()
	for range n {
		if e, err := g.drill(change...); e == nil || uerr.KindOf(err) != uerr.NotFound {
			g.t.Fatalf("%+v, %v", e, err)
		}
	}
}

func (g *rig) stored(n int) string { return filepath.Join(g.folder, "e", "drill-1", number(n)) }
func number(n int) string          { return strings.TrimPrefix(repo.EvidenceKey("x", n), "e/x/") }

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func overwrite(t *testing.T, path string, data []byte) {
	t.Helper()
	_ = os.Remove(path) // the store writes what cannot be written again
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// forge signs a piece anew with another key after a change.
func forge(t *testing.T, data []byte, change func(e *drill.Evidence)) []byte {
	t.Helper()
	key, err := repo.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	var e drill.Evidence
	if _, err := repo.ParseEvidence("e/drill-1/00000002", data, &e); err != nil {
		t.Fatal(err)
	}
	e.Key = repo.PublicOf(key)
	change(&e)
	out, err := repo.SignEvidence(&e, key)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestO5_EvidenceThatWasTamperedWithIsFound(t *testing.T) {
	for _, c := range []struct {
		name, text string
		blind      bool // also found by who has no copies
		do         func(t *testing.T, g *rig)
	}{
		{"changed", "signature is wrong", true, func(t *testing.T, g *rig) {
			overwrite(t, g.stored(2), bytes.Replace(read(t, g.stored(2)), []byte(`"verdict":"failed"`), []byte(`"verdict":"passed"`), 1))
		}},
		{"cut short", "has no signature", true, func(t *testing.T, g *rig) {
			overwrite(t, g.stored(2), read(t, g.stored(2))[:len(read(t, g.stored(2)))-100])
		}},
		{"something added", "added", true, func(t *testing.T, g *rig) { overwrite(t, g.stored(2), append(read(t, g.stored(2)), "more"...)) }},
		{"signed with another key", "another key", true, func(t *testing.T, g *rig) {
			overwrite(t, g.stored(2), forge(t, read(t, g.stored(2)), func(e *drill.Evidence) { e.Verdict = drill.Passed }))
		}},
		{"taken out of the middle", "missing", true, func(t *testing.T, g *rig) {
			if err := os.Remove(g.stored(2)); err != nil {
				t.Fatal(err)
			}
		}},
		{"exchanged", "another name", true, func(t *testing.T, g *rig) {
			second, third := read(t, g.stored(2)), read(t, g.stored(3))
			overwrite(t, g.stored(2), third)
			overwrite(t, g.stored(3), second)
		}},
		{"taken from the end", "does not have it any more", false, func(t *testing.T, g *rig) {
			if err := os.Remove(g.stored(3)); err != nil {
				t.Fatal(err)
			}
		}},
		{"all of it", "does not have it any more", false, func(t *testing.T, g *rig) {
			if err := os.RemoveAll(filepath.Dir(g.stored(1))); err != nil {
				t.Fatal(err)
			}
		}},
		{"a strange object", "no piece of evidence", true, func(t *testing.T, g *rig) {
			overwrite(t, filepath.Join(g.folder, "e", "drill-1", "notes"), []byte("x"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := failing(t)
			g.write(3)
			if chains, err := g.chains(); err != nil || !chains[0].Sound() || len(chains[0].Pieces) != 3 {
				t.Fatalf("before: %+v, %v", chains, err)
			}
			c.do(t, g)
			_, err := g.chains()
			wants(t, err, uerr.Integrity, c.text)
			r, openErr := g.open(t.Context())
			if openErr != nil {
				t.Fatal(openErr)
			}
			_, err = drill.Chains(t.Context(), r, drill.Keeper{Host: "somebody", State: t.TempDir()})
			if (uerr.KindOf(err) == uerr.Integrity) != c.blind {
				t.Errorf("without copies: %v", err)
			}
			// A drill goes on, chained to the copies here, and does not end well.
			e, err := g.drill()
			if e == nil || e.Number != 4 || uerr.ExitCode(err) == 0 {
				t.Errorf("the next drill: %+v, %v", e, err)
			}
		})
	}
}

func TestO5_AWholeChainOfAnotherKeyIsNotTakenForOurs(t *testing.T) {
	g := failing(t)
	g.write(2)
	other := *g
	other.state = filepath.Join(t.TempDir(), "state")
	e, err := drill.Run(t.Context(), other.open, other.options(), progress.None)
	wants(t, err, uerr.Auth, "signed with")
	if e != nil && e.Number > 1 {
		t.Errorf("%+v", e)
	}
	// Under another name it may.
	o := other.options()
	o.Host = "drill-2"
	if e, err = drill.Run(t.Context(), other.open, o, progress.None); e == nil || e.Number != 1 || uerr.KindOf(err) != uerr.NotFound {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestO5_LostCopiesComeBackFromTheStore(t *testing.T) {
	g := failing(t)
	g.write(3)
	if err := os.RemoveAll(filepath.Join(g.state, "evidence")); err != nil {
		t.Fatal(err)
	}
	g.write(1)
	chains, err := g.chains()
	if err != nil || len(chains[0].Pieces) != 4 || !chains[0].Sound() {
		t.Errorf("%+v, %v", chains, err)
	}
	if len(read(t, filepath.Join(g.state, "evidence", "drill-1-00000002.json"))) == 0 {
		t.Error("the copy did not come back")
	}
}

func TestO5_AnotherRepositoryIsNotDrilledInThePlaceOfOurs(t *testing.T) {
	g := failing(t)
	g.write(1)
	other := failing(t)
	g.folder, g.identity = other.folder, other.identity
	e, err := g.drill(func(o *drill.Options) { o.RTO = time.Hour })
	wants(t, err, uerr.Integrity, "not the repository")
	if e == nil || e.Verdict != drill.Failed {
		t.Errorf("%+v", e)
	}
}
