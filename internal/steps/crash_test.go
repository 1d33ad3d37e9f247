package steps

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

type crashed string

func crashAt(point string) func(string) {
	return func(p string) {
		if p == point {
			panic(crashed(p))
		}
	}
}

// points returns every place where a run over w's steps can crash.
func points(t *testing.T, n int, fail map[string]bool, resume Direction) []string {
	var all []string
	see := func(p string) { all = append(all, p) }
	w := world{dir: t.TempDir(), crash: see, fail: fail}
	_, _ = Run(t.Context(), open(t, filepath.Join(t.TempDir(), "j"), Options{Job: "x", Resume: resume, Crash: see}), w.steps(n), nil)
	return all
}

// runUntilCrash runs and turns the crash into a return value.
func runUntilCrash(t testing.TB, path string, o Options, list []Step) (out Outcome, err error, died bool) {
	j := open(t, path, o)
	defer func() {
		if c, ok := recover().(crashed); ok {
			died = true
			err = errors.New(string(c))
		}
		j.f.Close()
	}()
	out, err = Run(t.Context(), j, list, nil)
	return out, err, false
}

// settled checks that the world is all new or all old, as the outcome says.
func settled(t testing.TB, w world, n int, out Outcome, before string) {
	t.Helper()
	switch out {
	case Committed:
		for _, s := range w.steps(n) {
			if err := s.Verify(t.Context()); err != nil {
				t.Fatalf("committed, but %s is not there: %s", s.Name(), w.files(t))
			}
		}
	case RolledBack:
		if got := w.files(t); got != before {
			t.Fatalf("rolled back to %q, want %q", got, before)
		}
	default:
		t.Fatal("stuck")
	}
}

func TestCrashAtEveryPointThenReRunIsAllOrNothing(t *testing.T) {
	const n = 3
	for _, resume := range []Direction{Forward, Back} {
		for _, fail := range []map[string]bool{nil, {"s2": true}} {
			for _, point := range points(t, n, fail, resume) {
				w, path := newWorld(t)
				w.fail, w.crash = fail, crashAt(point)
				_, _, died := runUntilCrash(t, path, Options{Job: "x", Resume: resume, Crash: w.crash}, w.steps(n))
				if !died {
					t.Fatalf("no crash at %s", point)
				}
				w.crash = func(string) {}
				out, err, _ := runUntilCrash(t, path, Options{Job: "x", Resume: resume}, w.steps(n))
				settled(t, w, n, out, "")
				if fail != nil && (out != RolledBack || err == nil) {
					t.Fatalf("%s: %v %v", point, out, err)
				}
				began := point != "begin"
				ended := point == "/committed"
				if fail == nil && (out == Committed) != (resume == Forward || !began || ended) {
					t.Fatalf("resume %d, crash at %s: %v, %v", resume, point, out, err)
				}
			}
		}
	}
}

func TestCrashesAndFailuresInAnyOrderEndConsistent(t *testing.T) {
	dir := t.TempDir()
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		n := rapid.IntRange(1, 5).Draw(rt, "steps")
		w := world{dir: filepath.Join(dir, fmt.Sprint(round)), crash: func(string) {}, fail: map[string]bool{}}
		if err := os.Mkdir(w.dir, 0o700); err != nil {
			rt.Fatal(err)
		}
		path := w.dir + ".jsonl"
		for i, s := range w.steps(n) {
			if rapid.Bool().Draw(rt, fmt.Sprintf("held%d", i)) {
				if err := s.Apply(t.Context()); err != nil {
					rt.Fatal(err)
				}
			}
			w.fail[s.Name()] = rapid.IntRange(0, 6).Draw(rt, "fails") == 0
		}
		before := w.files(t)
		resume := rapid.SampledFrom([]Direction{Forward, Back}).Draw(rt, "resume")
		for range rapid.IntRange(1, 4).Draw(rt, "crashes") {
			countdown := rapid.IntRange(0, 20).Draw(rt, "countdown")
			w.crash = func(p string) {
				if countdown--; countdown < 0 {
					panic(crashed(p))
				}
			}
			out, _, died := runUntilCrash(t, path, Options{Job: "x", Resume: resume, Crash: w.crash}, w.steps(n))
			if !died {
				settled(t, w, n, out, before)
				before = w.files(t) // a next run begins from here
			} else if h, err := Read(path); err == nil && (len(h) == 0 || h[len(h)-1].Finished()) {
				before = w.files(t) // it had ended before the crash
			}
		}
		w.crash = func(string) {}
		out, _, _ := runUntilCrash(t, path, Options{Job: "x", Resume: resume}, w.steps(n))
		settled(t, w, n, out, before)
	})
}

// TestKillNineAtEveryPointThenReRunIsAllOrNothing runs this test binary again as the victim of a real SIGKILL.
func TestKillNineAtEveryPointThenReRunIsAllOrNothing(t *testing.T) {
	for _, resume := range []Direction{Forward, Back} {
		for _, point := range points(t, 2, map[string]bool{"s1": resume == Back}, resume) {
			w, path := newWorld(t)
			w.fail = map[string]bool{"s1": resume == Back}
			cmd := exec.Command(os.Args[0], "-test.run=^TestVictim$")
			cmd.Env = append(os.Environ(), "STEPS_VICTIM="+strings.Join([]string{w.dir, path, point, fmt.Sprint(int(resume))}, "\n"))
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Success() {
				t.Fatalf("%s: the victim lived: %v", point, err)
			}
			out, _, _ := runUntilCrash(t, path, Options{Job: "x", Resume: resume}, w.steps(2))
			settled(t, w, 2, out, "")
		}
	}
}

func TestVictim(t *testing.T) {
	arg := strings.Split(os.Getenv("STEPS_VICTIM"), "\n")
	if len(arg) != 4 {
		return // only a victim when asked to be one
	}
	kill := func(p string) {
		if p == arg[2] {
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = self.Kill()
			}
			t.Fatal("still alive", err)
		}
	}
	resume := Forward
	if arg[3] == "1" {
		resume = Back
	}
	w := world{dir: arg[0], crash: kill, fail: map[string]bool{"s1": resume == Back}}
	_, _ = Run(t.Context(), open(t, arg[1], Options{Job: "x", Resume: resume, Crash: kill}), w.steps(2), nil)
}

// TestCrashWhileGoingBackGoesOnBack: what an undo has begun is never built up again, although the cause is gone by then.
func TestCrashWhileGoingBackGoesOnBack(t *testing.T) {
	for _, point := range []string{"s2/failed", "s2/undoing", "s1/undo-applied", "s0/undone", "rollback"} {
		w, path := newWorld(t)
		w.fail, w.crash = map[string]bool{"s2": true}, crashAt(point)
		if _, _, died := runUntilCrash(t, path, Options{Job: "x", Crash: w.crash}, w.steps(4)); !died {
			t.Fatalf("no crash at %s", point)
		}
		w.fail, w.crash = nil, func(string) {}
		out, err, _ := runUntilCrash(t, path, Options{Job: "x"}, w.steps(4))
		if out != RolledBack || err == nil || w.files(t) != "" {
			t.Fatalf("%s: %v, %v, %q", point, out, err, w.files(t))
		}
	}
}
