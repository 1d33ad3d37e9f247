package drill_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"practicectl/backup/drill"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

func TestO5_ADrillProvesASnapshotAndLeavesOnlyEvidence(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		c := testenv.PG(t, major, testenv.Bootstrapped)
		conn := connect(t, c)
		fill(t, conn)
		g := newRig(t, c)
		g.snapshot()
		e, err := g.drill()
		if err != nil {
			t.Fatal(err)
		}
		if e.Verdict != drill.Passed || e.Problem != nil || !e.Removed || e.Number != 1 || e.PostgreSQL != c.Bin.Version || e.Seed != 7 {
			t.Errorf("evidence: %+v", e)
		}
		var phases []string
		for _, p := range e.Phases {
			phases = append(phases, p.Name)
		}
		if got := strings.Join(phases, " "); got != "open lay recover answer check" {
			t.Errorf("phases %q", got)
		}
		for name, least := range map[string]int64{"signature": 500, "alone": 10, "schema": 1, "balance": 2000, "entries": 3000, "b-trees": 300, "tables": 150, "visibility": 150, "references": 1, "checksums": 2000} {
			if r := check(t, e, name); !r.Passed() || r.Looked < least {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if gin := check(t, e, "gin"); (gin.Skipped == "") != (major >= 18) || len(gin.Findings) > 0 {
			t.Errorf("gin: %+v", gin)
		}
		if later := check(t, e, "later"); later.Skipped == "" {
			t.Errorf("what a later schema promises was asked of this one: %+v", later)
		}
		if e.Transfer.Requests < 3 || e.Transfer.Bytes < 1<<20 || !e.RTO.Met() || !e.RPO.Met() || e.Point.LSN == "" || e.Point.Reached.After(e.Began) {
			t.Errorf("measured: %+v, RTO %+v, RPO %+v, point %+v", e.Transfer, e.RTO, e.RPO, e.Point)
		}
		chains, err := g.chains()
		if err != nil || len(chains) != 1 || !chains[0].Own || !chains[0].Sound() || chains[0].Pieces[0].Pending {
			t.Errorf("chains %+v, %v", chains, err)
		}
		text, err := json.Marshal(e)
		if err != nil || bytes.Contains(text, []byte(g.identities)) || bytes.Contains(text, []byte("AGE-SECRET")) {
			t.Errorf("the evidence holds what it should not: %s %v", text, err)
		}
	})
}

func TestO5_ADrillFindsWhatIsBroken(t *testing.T) {
	eachMajor(t, func(t *testing.T, major int) {
		c := testenv.PG(t, major, testenv.Bootstrapped)
		conn := connect(t, c)
		fill(t, conn)
		g := newRig(t, c)
		for _, broken := range []struct {
			check, text   string
			break_, mend_ []string
		}{
			// An index that lost rows: every page of it is sound, and only a look at every row of the table shows it.
			{"b-trees", "journal_account", []string{`UPDATE pg_index SET indisready = false, indisvalid = false WHERE indexrelid = 'public.journal_account'::regclass`,
				`INSERT INTO public.journal (account, body) SELECT i, 'nicht im Index' FROM generate_series(1, 50) i`,
				`UPDATE pg_index SET indisready = true, indisvalid = true WHERE indexrelid = 'public.journal_account'::regclass`}, []string{`REINDEX INDEX public.journal_account`}},
			{"balance", "the sum is wrong", []string{`UPDATE public.account SET balance = 7 WHERE id = 3`}, []string{`UPDATE public.account SET balance = 1000 WHERE id = 3`}},
			{"references", "journal_account_fkey", []string{`SET session_replication_role = replica`, `UPDATE public.journal SET account = 99999 WHERE id = 1`, `SET session_replication_role = origin`},
				[]string{`UPDATE public.journal SET account = 1 WHERE id = 1`}},
			{"schema", "does not exist", []string{`ALTER TABLE public.version RENAME TO away`}, []string{`ALTER TABLE public.away RENAME TO version`}},
		} {
			execSQL(t, conn, broken.break_...)
			g.snapshot()
			e, err := g.drill()
			wants(t, err, uerr.Integrity, broken.text)
			if e.Verdict != drill.Failed || e.Problem == nil || len(check(t, e, broken.check).Findings) == 0 || !e.Removed {
				t.Errorf("%s: %+v", broken.check, e)
			}
			execSQL(t, conn, broken.mend_...)
		}
		g.snapshot()
		if e, err := g.drill(); err != nil || e.Number != 5 {
			t.Errorf("after all was mended: %v", err)
		}
		// What is only added to has become less.
		execSQL(t, conn, `DELETE FROM public.journal WHERE id > 2000`)
		g.snapshot()
		e, err := g.drill()
		wants(t, err, uerr.Integrity, "an earlier state")
		if len(check(t, e, "entries").Findings) == 0 {
			t.Errorf("%+v", e.Checks)
		}
		chains, err := g.chains()
		if err != nil || len(chains[0].Pieces) != 6 {
			t.Errorf("%+v, %v", chains, err)
		}
	})
}

func TestO5_ADrillThatCannotRestoreIsEvidenceToo(t *testing.T) {
	c := testenv.PG(t, 15, testenv.Bootstrapped)
	fill(t, connect(t, c))
	g := newRig(t, c)
	e, err := g.drill()
	wants(t, err, uerr.NotFound, "no snapshots")
	if e == nil || e.Verdict != drill.Failed || e.Problem.Step != "open" {
		t.Errorf("without a snapshot: %+v", e)
	}
	first := g.snapshot()
	if _, err := g.drill(); err != nil {
		t.Fatal(err)
	}

	right := g.identity
	stranger := newRig(t, c)
	g.identity = stranger.identity
	e, err = g.drill()
	wants(t, err, uerr.Auth, "")
	if e.Problem.Kind != "auth" || e.Snapshot != nil && e.RTO.Known {
		t.Errorf("with a stranger's identity: %+v", e.Problem)
	}
	g.identity = right

	// A piece of the log is not there any more.
	log := filepath.Join(g.folder, filepath.FromSlash(first.Snapshot.WAL[0].Key))
	kept, err := os.ReadFile(log)
	if err == nil {
		err = os.Remove(log)
	}
	if err != nil {
		t.Fatal(err)
	}
	e, err = g.drill()
	wants(t, err, uerr.Integrity, first.Snapshot.WAL[0].Key)
	if e.Verdict != drill.Failed || !e.Removed {
		t.Errorf("without the log: %+v", e)
	}
	if err := os.WriteFile(log, kept, 0o600); err != nil {
		t.Fatal(err)
	}

	// The store cannot be reached: the evidence waits here and is stored with the next.
	if err := os.Rename(g.folder, g.folder+".away"); err != nil {
		t.Fatal(err)
	}
	e, err = g.drill()
	if e == nil || uerr.ExitCode(err) == 0 || e.Number != 5 {
		t.Errorf("without a store: %+v, %v", e, err)
	}
	if err := os.Rename(g.folder+".away", g.folder); err != nil {
		t.Fatal(err)
	}
	chains, err := g.chains()
	if err != nil || len(chains[0].Pieces) != 5 || !chains[0].Pieces[4].Pending {
		t.Errorf("%+v, %v", chains, err)
	}
	if _, err := g.drill(); err != nil {
		t.Fatal(err)
	}
	chains, err = g.chains()
	if err != nil || len(chains[0].Pieces) != 6 || slices.ContainsFunc(chains[0].Pieces, func(p drill.Piece) bool { return p.Pending }) {
		t.Errorf("%+v, %v", chains, err)
	}
	var verdicts []string
	for _, p := range chains[0].Pieces {
		verdicts = append(verdicts, string(p.Evidence.Verdict))
	}
	if got := strings.Join(verdicts, " "); got != "failed passed failed failed failed passed" {
		t.Errorf("verdicts: %s", got)
	}
}

func TestO5_ObjectivesAreComparedWithWhatWasMeasured(t *testing.T) {
	c := testenv.PG(t, 15, testenv.Bootstrapped)
	fill(t, connect(t, c))
	g := newRig(t, c)
	g.snapshot()
	e, err := g.drill(func(o *drill.Options) { o.RTO = time.Nanosecond })
	wants(t, err, uerr.Overdue, "restoring and proving took")
	if e.Verdict != drill.Missed || e.RTO.Met() || !e.RTO.Known {
		t.Errorf("%+v", e)
	}
	later := func(o *drill.Options) { o.Now = func() time.Time { return time.Now().Add(3 * time.Hour) } }
	e, err = g.drill(later)
	wants(t, err, uerr.Overdue, "newest restorable state")
	if e.Verdict != drill.Missed || e.RPO.Seconds < 3*3600-60 || e.RPO.Seconds > 3*3600+600 {
		t.Errorf("%+v", e.RPO)
	}
}

func TestO5_ARandomDrillCanBeRepeated(t *testing.T) {
	c := testenv.PG(t, 18, testenv.Bootstrapped)
	fill(t, connect(t, c))
	g := newRig(t, c)
	ids := map[string]bool{}
	for range 3 {
		ids[g.snapshot().Snapshot.ID] = true
	}
	first, err := g.drill(func(o *drill.Options) { o.Snapshot, o.Seed = "random", 11 })
	if err != nil || !ids[first.Snapshot.ID] || first.Snapshot.Chosen != "random" {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := g.drill(func(o *drill.Options) { o.Snapshot, o.Seed = "random", 11 })
	if err != nil || again.Snapshot.ID != first.Snapshot.ID {
		t.Errorf("the same seed chose %s, then %s", first.Snapshot.ID, again.Snapshot.ID)
	}
	named, err := g.drill(func(o *drill.Options) { o.Snapshot = first.Snapshot.ID[:12] })
	if err != nil || named.Snapshot.ID != first.Snapshot.ID || named.Snapshot.Chosen != "named" {
		t.Errorf("%+v, %v", named, err)
	}
}
