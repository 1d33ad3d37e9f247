package updater

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"practicectl/internal/steps"
	"practicectl/internal/uerr"
)

const victimEnv = "PRACTICE_UPDATER_VICTIM"

// victim is what the child process is told.
type victim struct {
	Dir, Point string
	PG         *pgHandle // nil: a folder database
	Do         string    // "update" (everything is staged), "whole update", "recover" or "rollback"
	Shop       *shop
	T          Transition
}

func (v victim) rig() rig {
	if v.PG != nil {
		return rig{Dir: v.Dir, db: v.PG.open(), shop: v.Shop}
	}
	return rig{Dir: v.Dir, db: folderDB(v.Dir + "/var/pg"), shop: v.Shop}
}

// TestMain lets this test binary be the process that gets killed.
func TestMain(m *testing.M) {
	if arg := os.Getenv(victimEnv); arg != "" {
		var v victim
		if err := json.Unmarshal([]byte(arg), &v); err != nil {
			panic(err)
		}
		v.run()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func (v victim) run() {
	u := v.rig().updater(func(point string) {
		if point == v.Point {
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				_ = self.Kill() // SIGKILL: no deferred call, no flush
			}
			select {}
		}
	})
	switch v.Do {
	case "update":
		_, _ = u.apply(context.Background(), Report{}, v.T)
	case "whole update":
		_, _ = u.Update(context.Background(), Request{})
	case "recover":
		_, _ = u.Recover(context.Background())
	case "rollback":
		_, _ = u.Rollback(context.Background())
	}
}

// kill runs v in a process of its own, which must die at the point.
func (v victim) kill(t *testing.T) {
	t.Helper()
	arg, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+string(arg))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("%s: the victim lived: %v\n%s", v.Point, err, out)
	}
}

// pointsOf returns every point at which do could be killed.
func pointsOf(do func(crash func(string))) (points []string) {
	do(func(p string) {
		if !slices.Contains(points, p) {
			points = append(points, p)
		}
	})
	return points
}

// mayWrite is a user who works whenever the server lets anybody in. It returns what was written.
func (r rig) mayWrite(t *testing.T) string {
	t.Helper()
	s, err := r.server()
	if err != nil {
		t.Fatal(err)
	}
	if s.Mode != "open" {
		return ""
	}
	if err := r.db.write("von Hand"); err != nil {
		t.Fatal(err)
	}
	return "von Hand"
}

func (r rig) holds(t *testing.T, version, written string) {
	t.Helper()
	want := "alte Notiz\n"
	if version != "1.0.0" {
		want = "neue Notiz\n"
	}
	if written != "" {
		want += written + "\n"
	}
	if got, err := r.db.rows(); got != want || err != nil {
		t.Errorf("at %s the rows are %q, want %q: %v", version, got, want, err)
	}
}

// TestO12_KilledAtEveryStepOfAnUpdateItIsExactlyOldOrNew kills the updating process at every point of a good update and of
// one whose new version never gets ready, and recovers in another process, as the agent and the next run do.
func TestO12_KilledAtEveryStepOfAnUpdateItIsExactlyOldOrNew(t *testing.T) {
	prepare := func(t *testing.T, broken bool) (rig, Transition) {
		r := newFolderRig(t)
		r.install(t, "1.0.0", 1, false)
		r.install(t, "1.1.0", 2, broken)
		r.live(t, "1.0.0")
		return r, r.transition("1.0.0", "1.1.0")
	}
	for _, broken := range []bool{false, true} {
		points := pointsOf(func(crash func(string)) {
			r, tr := prepare(t, broken)
			_, _ = r.updater(crash).apply(context.Background(), Report{}, tr)
		})
		if len(points) < 30 {
			t.Fatalf("only %d points: %v", len(points), points)
		}
		sawOld, sawNew := 0, 0
		for _, point := range points {
			r, tr := prepare(t, broken)
			victim{Dir: r.Dir, Point: point, Do: "update", T: tr}.kill(t)
			written := r.mayWrite(t)
			if _, err := r.updater(nil).Recover(context.Background()); err != nil {
				t.Fatalf("%s: %v", point, err)
			}
			version, err := r.slots("server").Current()
			if err != nil {
				t.Fatal(err)
			}
			if version == "1.0.0" {
				sawOld++
			} else {
				sawNew++
			}
			r.settled(t, version)
			r.holds(t, version, written)
			if t.Failed() {
				t.Fatalf("broken %v, killed at %s", broken, point)
			}
		}
		if sawOld == 0 || (sawNew == 0) != broken {
			t.Errorf("broken %v: %d times old, %d times new", broken, sawOld, sawNew)
		}
	}
}

// TestO12_KilledWhileGoingBackItStillGetsBack kills a recovery at each of its points and recovers again.
func TestO12_KilledWhileGoingBackItStillGetsBack(t *testing.T) {
	prepare := func(t *testing.T) rig {
		r := newFolderRig(t)
		r.install(t, "1.0.0", 1, false)
		r.install(t, "1.1.0", 2, false)
		r.live(t, "1.0.0")
		victim{Dir: r.Dir, Point: stepProbe + "/applied", Do: "update", T: r.transition("1.0.0", "1.1.0")}.kill(t)
		return r
	}
	points := pointsOf(func(crash func(string)) { _, _ = prepare(t).updater(crash).Recover(context.Background()) })
	if !slices.Contains(points, "restore/place") || len(points) < 15 {
		t.Fatalf("points: %v", points)
	}
	for _, point := range points {
		r := prepare(t)
		victim{Dir: r.Dir, Point: point, Do: "recover"}.kill(t)
		rep, err := r.updater(nil).Rollback(context.Background()) // what an administrator types when all is dark
		if err != nil && !(uerr.KindOf(err) == uerr.NotFound && point == "/rolled-back") {
			t.Fatalf("%s: %v", point, err)
		}
		if err == nil && rep.Version != "1.0.0" {
			t.Errorf("%s: %+v", point, rep)
		}
		r.settled(t, "1.0.0")
		r.holds(t, "1.0.0", "")
		if t.Failed() {
			t.Fatalf("killed at %s", point)
		}
	}
}

// TestKilledAtEveryStepOfARollbackByHandItIsExactlyOldOrNew does the same to a rollback between versions of one schema.
func TestKilledAtEveryStepOfARollbackByHandItIsExactlyOldOrNew(t *testing.T) {
	prepare := func(t *testing.T) rig {
		r := newFolderRig(t)
		r.install(t, "1.0.0", 1, false)
		r.install(t, "1.1.0", 1, false)
		r.live(t, "1.0.0")
		if rep, err := r.updater(nil).apply(context.Background(), Report{}, r.transition("1.0.0", "1.1.0")); err != nil || rep.Version != "1.1.0" {
			t.Fatalf("%+v, %v", rep, err)
		}
		return r
	}
	points := pointsOf(func(crash func(string)) {
		if rep, err := prepare(t).updater(crash).Rollback(context.Background()); err != nil || rep.Version != "1.0.0" {
			t.Fatalf("%+v, %v", rep, err)
		}
	})
	for _, point := range points {
		r := prepare(t)
		victim{Dir: r.Dir, Point: point, Do: "rollback"}.kill(t)
		written := r.mayWrite(t)
		if _, err := r.updater(nil).Recover(context.Background()); err != nil {
			t.Fatalf("%s: %v", point, err)
		}
		version, _ := r.slots("server").Current()
		r.settled(t, version)
		r.holds(t, "1.0.0", written)
		if t.Failed() {
			t.Fatalf("killed at %s", point)
		}
	}
}

func TestO12_AVersionThatNeverGetsReadyIsLeftAgainAndRemembered(t *testing.T) {
	r := newFolderRig(t)
	r.install(t, "1.0.0", 1, false)
	r.install(t, "1.1.0", 2, true)
	r.live(t, "1.0.0")
	u := r.updater(nil)
	rep, err := u.apply(context.Background(), Report{}, r.transition("1.0.0", "1.1.0"))
	if uerr.KindOf(err) != uerr.Failed || uerr.ExitCode(err) != 1 || rep.Outcome != steps.RolledBack.String() || rep.Version != "1.0.0" {
		t.Errorf("%+v, %v", rep, err)
	}
	for _, part := range []string{"503: a fault", "version 1.0.0 runs again", "data are as they were"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("message lacks %q: %v", part, err)
		}
	}
	r.settled(t, "1.0.0")
	r.holds(t, "1.0.0", "")
	if v, _ := r.slots("server").Versions(); !slices.Equal(v, []string{"1.0.0"}) {
		t.Errorf("the failed version still fills the disk: %v", v)
	}
	history, err := u.History()
	if err != nil || len(history) != 1 || history[0].Step != stepProbe || history[0].Outcome != "rolled back" || history[0].Reason == "" {
		t.Errorf("history %+v, %v", history, err)
	}
	if skip := unwanted(history); skip["1.1.0"] == "" {
		t.Errorf("not remembered: %v", skip)
	}
}

func TestAFailedMigrationGoesBack(t *testing.T) {
	r := newFolderRig(t)
	r.install(t, "1.0.0", 1, false)
	r.install(t, "1.1.0", 2, false)
	r.live(t, "1.0.0")
	u := r.updater(nil)
	migrate := u.o.Hooks.Migrate
	u.o.Hooks.Migrate = func(ctx context.Context, v string) error {
		return errors.Join(migrate(ctx, v), uerr.New(uerr.Precond, "migrate", v, errors.New("column is missing"), ""))
	}
	rep, err := u.apply(context.Background(), Report{}, r.transition("1.0.0", "1.1.0"))
	if uerr.KindOf(err) != uerr.Failed || rep.Version != "1.0.0" || !strings.Contains(err.Error(), "column is missing") {
		t.Errorf("%+v, %v", rep, err)
	}
	r.settled(t, "1.0.0")
	r.holds(t, "1.0.0", "")
}

func TestCancelledInTheMiddleItGoesBack(t *testing.T) {
	r := newFolderRig(t)
	r.install(t, "1.0.0", 1, false)
	r.install(t, "1.1.0", 2, false)
	r.live(t, "1.0.0")
	ctx, cancel := context.WithCancel(context.Background())
	rep, err := r.updater(func(p string) {
		if p == stepMigrate+"/applied" {
			cancel()
		}
	}).apply(ctx, Report{}, r.transition("1.0.0", "1.1.0"))
	if uerr.KindOf(err) != uerr.Interrupted || rep.Version != "1.0.0" {
		t.Errorf("%+v, %v", rep, err)
	}
	r.settled(t, "1.0.0")
	r.holds(t, "1.0.0", "")
	if skip := unwanted(must(r.updater(nil).History())); len(skip) != 0 {
		t.Errorf("an interruption is blamed on the version: %v", skip)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestRollbackRefusesWhenTheOldVersionCouldNotReadTheData(t *testing.T) {
	r := newFolderRig(t)
	r.install(t, "1.0.0", 1, false)
	r.install(t, "1.1.0", 2, false)
	r.live(t, "1.0.0")
	u := r.updater(nil)
	if _, err := u.Rollback(context.Background()); uerr.KindOf(err) != uerr.NotFound {
		t.Errorf("nothing to go back to: %v", err)
	}
	if _, err := u.apply(context.Background(), Report{}, r.transition("1.0.0", "1.1.0")); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Rollback(context.Background()); uerr.KindOf(err) != uerr.LossGuard || uerr.ExitCode(err) != 18 || uerr.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	r.settled(t, "1.1.0")
	r.holds(t, "1.1.0", "")
}

func TestTwoUpdatesAtOnceAreRefused(t *testing.T) {
	r := newFolderRig(t)
	r.install(t, "1.0.0", 1, false)
	r.live(t, "1.0.0")
	_, unlock, err := r.updater(nil).lock(context.Background(), "update apply")
	if err != nil {
		t.Fatal(err)
	}
	for _, do := range []func() error{
		func() error { _, err := r.updater(nil).Update(context.Background(), Request{}); return err },
		func() error { _, err := r.updater(nil).Rollback(context.Background()); return err },
		func() error { _, err := r.updater(nil).Recover(context.Background()); return err },
	} {
		if err := do(); uerr.ExitCode(err) != 11 {
			t.Errorf("got %v", err)
		}
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
}
