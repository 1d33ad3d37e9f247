package steps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"practicectl/internal/uerr"
)

// world is a folder; the step of name n puts n.a and n.b there, one after the other, so that a crash in between shows.
type world struct {
	dir   string
	crash func(point string)
	fail  map[string]bool // steps whose Apply fails after half of its work
}

func (w world) step(name string) Step {
	a, b := filepath.Join(w.dir, name+".a"), filepath.Join(w.dir, name+".b")
	return Func{
		ID: name, Action: "make " + name,
		On: func(context.Context) (State, error) {
			if exists(a) && exists(b) {
				return Satisfied, nil
			}
			return Change, nil
		},
		Do: func(context.Context) error {
			if err := os.WriteFile(a, nil, 0o600); err != nil {
				return err
			}
			w.crash(name + "/half")
			if w.fail[name] {
				return errors.New("planned failure")
			}
			return os.WriteFile(b, nil, 0o600)
		},
		Revert: func(context.Context) error {
			for _, f := range []string{a, b} {
				if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
					return err
				}
				w.crash(name + "/half-undone")
			}
			return nil
		},
		Proof: func(context.Context) error {
			if !exists(a) || !exists(b) {
				return errors.New("not there")
			}
			return nil
		},
	}
}

func (w world) steps(n int) []Step {
	list := make([]Step, n)
	for i := range list {
		list[i] = w.step(fmt.Sprintf("s%d", i))
	}
	return list
}

func (w world) files(t testing.TB) string {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return strings.Join(names, " ")
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

func newWorld(t *testing.T) (world, string) {
	return world{dir: t.TempDir(), crash: func(string) {}}, filepath.Join(t.TempDir(), "journal.jsonl")
}

func open(t testing.TB, path string, o Options) *Journal {
	t.Helper()
	j, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestRunCommitsAndASecondRunChangesNothing(t *testing.T) {
	w, path := newWorld(t)
	j := open(t, path, Options{Job: "install", Params: map[string]string{"version": "1.0.0"}, Now: func() time.Time { return time.Unix(1e9, 0) }})
	if out, err := Run(t.Context(), j, w.steps(3), nil); out != Committed || err != nil {
		t.Fatal(out, err)
	}
	plan, err := MakePlan(t.Context(), w.steps(3))
	if err != nil || plan.Changes() != 0 {
		t.Fatalf("plan after commit: %+v, %v", plan, err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	h, err := Read(path)
	if err != nil || len(h) != 1 || h[0].Outcome != "committed" || h[0].Params["version"] != "1.0.0" || !h[0].Ended.Equal(time.Unix(1e9, 0)) {
		t.Fatalf("history %+v, %v", h, err)
	}
}

func TestFailureUndoesInReverseAndLeavesWhatHeldBefore(t *testing.T) {
	w, path := newWorld(t)
	if err := w.step("s1").Apply(t.Context()); err != nil { // holds before the run
		t.Fatal(err)
	}
	before := w.files(t)
	w.fail = map[string]bool{"s2": true}
	j := open(t, path, Options{Job: "install"})
	out, err := Run(t.Context(), j, w.steps(4), nil)
	if out != RolledBack || err == nil || !strings.Contains(err.Error(), "planned failure") {
		t.Fatal(out, err)
	}
	if got := w.files(t); got != before {
		t.Fatalf("after roll back %q, before %q", got, before)
	}
	if j.Unfinished() != nil || j.History()[0].FailedIn != "s2" {
		t.Fatalf("%+v", j.History())
	}
}

func TestStuckUndoIsTriedAgainByTheNextRun(t *testing.T) {
	w, path := newWorld(t)
	w.fail = map[string]bool{"s1": true}
	broken := true
	list := w.steps(2)
	first := list[0].(Func)
	revert := first.Revert
	first.Revert = func(ctx context.Context) error {
		if broken {
			return errors.New("disk is read-only")
		}
		return revert(ctx)
	}
	list[0] = first
	if out, err := Run(t.Context(), open(t, path, Options{Job: "x"}), list, nil); out != Stuck || err == nil {
		t.Fatal(out, err)
	}
	broken = false
	out, err := Run(t.Context(), open(t, path, Options{Job: "x"}), list, nil)
	if out != RolledBack || err == nil || !strings.Contains(err.Error(), "planned failure") {
		t.Fatal(out, err)
	}
	if w.files(t) != "" {
		t.Fatal(w.files(t))
	}
}

func TestCancelRollsBackUnderALiveContext(t *testing.T) {
	w, path := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	list := w.steps(3)
	second := list[1].(Func)
	second.Do = func(context.Context) error { cancel(); return ctx.Err() }
	list[1] = second
	out, err := Run(ctx, open(t, path, Options{Job: "x"}), list, nil)
	if out != RolledBack || uerr.KindOf(err) != uerr.Interrupted || w.files(t) != "" {
		t.Fatal(out, err, w.files(t))
	}
}

func TestPastCommitAfterAFailureGoesOnNextTime(t *testing.T) {
	w, path := newWorld(t)
	w.fail = map[string]bool{"s2": true}
	o := Options{Job: "update", Resume: Back, CommitAfter: "s1"}
	out, err := Run(t.Context(), open(t, path, o), w.steps(4), nil)
	if out != Committed || err == nil {
		t.Fatal(out, err)
	}
	w.fail = nil
	if out, err = Run(t.Context(), open(t, path, o), w.steps(4), nil); out != Committed || err != nil {
		t.Fatal(out, err)
	}
	if !strings.Contains(w.files(t), "s3.b") {
		t.Fatal(w.files(t))
	}
}

func TestAnotherPlanIsRefusedWhileWorkIsUnfinished(t *testing.T) {
	w, path := newWorld(t)
	func() {
		defer func() { _ = recover() }()
		_, _ = Run(t.Context(), open(t, path, Options{Job: "x", Crash: crashAt("s0/doing")}), w.steps(2), nil)
	}()
	for _, list := range [][]Step{{w.step("other")}, w.steps(3)} {
		out, err := Run(t.Context(), open(t, path, Options{Job: "x"}), list, nil)
		if out != Stuck || uerr.KindOf(err) != uerr.Precond {
			t.Fatal(out, err)
		}
	}
	if out, err := Run(t.Context(), open(t, path, Options{Job: "x"}), w.steps(2), nil); out != Committed || err != nil {
		t.Fatal(out, err)
	}
}

func TestPlanNamesTheBlockedStepAndItsDigestFollowsTheWorld(t *testing.T) {
	w, _ := newWorld(t)
	p1, err := MakePlan(t.Context(), w.steps(2))
	if err != nil || p1.Changes() != 2 {
		t.Fatal(p1, err)
	}
	blocked := Func{ID: "port", Action: "listen on port 8443", On: func(context.Context) (State, error) {
		return Blocked, uerr.New(uerr.Precond, "", "", errors.New("port 8443 is taken"), "choose another with --listen")
	}}
	p2, err := MakePlan(t.Context(), append(w.steps(2), blocked))
	if uerr.KindOf(err) != uerr.Precond || uerr.HintOf(err) == "" || len(p2.Steps) != 3 || p1.Digest == p2.Digest {
		t.Fatal(p2, err)
	}
	if _, err := MakePlan(t.Context(), []Step{blocked, blocked}); err == nil {
		t.Fatal("two steps of one name accepted")
	}
}

func TestJournalDamageIsNamedAndATornTailIsCutOff(t *testing.T) {
	w, path := newWorld(t)
	if _, err := Run(t.Context(), open(t, path, Options{Job: "x"}), w.steps(3), nil); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(good), "\n")
	last := len(good) - len(lines[len(lines)-2])
	for cut := last + 1; cut < len(good); cut++ { // every torn length of the last line
		if err := os.WriteFile(path, good[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		j := open(t, path, Options{Job: "x"})
		if j.Unfinished() == nil {
			t.Fatalf("cut at %d: the torn commit counts", cut)
		}
		j.Close()
	}
	for name, bad := range map[string]string{
		"changed": strings.Replace(string(good), `"step":"s1"`, `"step":"s0"`, 1),
		"missing": lines[0] + strings.Join(lines[2:], ""),
		"garbage": lines[0] + "{{{\n" + strings.Join(lines[1:], ""),
	} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); uerr.KindOf(err) != uerr.Integrity {
			t.Fatalf("%s: %v", name, err)
		}
	}
}
