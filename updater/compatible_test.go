package updater

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/publish"
)

// tolerant makes servers that run on newer schemas down to floor, as the real ones do when a migration says so.
func tolerant(r rig, u *Updater, floor int) *Updater {
	strict := u.o.Hooks.Schema
	u.o.Hooks.Schema = func(ctx context.Context, version string) (Schema, error) {
		s, err := strict(ctx, version)
		s.Floor = floor
		return s, err
	}
	u.o.Hooks.Probe = func(context.Context) error {
		s, err := r.server()
		if err != nil {
			return err
		}
		if _, broken := os.Stat(filepath.Join(r.slots("server").Path(s.Version), "broken")); broken == nil || s.Mode == "stopped" {
			return errors.New("503")
		}
		return nil
	}
	return u
}

// TestO12_ABackwardCompatibleReleaseGoesBackBySwitchingPrograms: the database is neither stopped nor copied, and what
// users wrote after the commit stays when somebody goes back days later.
func TestO12_ABackwardCompatibleReleaseGoesBackBySwitchingPrograms(t *testing.T) {
	compatible := func(o *publish.BuildOptions) {
		o.Release.DB = release.DB{SchemaFrom: 1, SchemaTo: 2, BackwardCompatible: true}
	}
	r, v := newShopRig(t)
	v.release(t, "1.1.0", 2, true, compatible)
	v.release(t, "1.2.0", 2, false, compatible)
	r.shop.Clock = v.Clock
	u := tolerant(r, r.updater(nil), 1)
	u.o.Hooks.StopDatabase = func(context.Context) error { return errors.New("the database must keep running") }
	if rep, err := u.Update(t.Context(), Request{Wish: Wish{Version: "1.1.0"}}); uerr.KindOf(err) != uerr.Failed || rep.Version != "1.0.0" || rep.Plan.CopiesDB {
		t.Fatalf("%+v, %v", rep, err)
	}
	if s, err := r.server(); s.Mode != "open" || s.Version != "1.0.0" || err != nil {
		t.Errorf("server %+v, %v", s, err)
	}
	if rep, err := u.Update(t.Context(), Request{}); err != nil || rep.Version != "1.2.0" {
		t.Fatalf("%+v, %v", rep, err)
	}
	if err := r.db.write("nach dem Update"); err != nil {
		t.Fatal(err)
	}
	rep, err := u.Rollback(t.Context())
	if err != nil || rep.Version != "1.0.0" {
		t.Fatalf("%+v, %v", rep, err)
	}
	r.holds(t, "1.2.0", "nach dem Update") // the data stay as they are now
	if s, err := r.server(); s.Mode != "open" || s.Version != "1.0.0" || err != nil {
		t.Errorf("server %+v, %v", s, err)
	}
	if rep, err := u.Update(t.Context(), Request{Wish: Wish{Unattended: true}}); rep.Outcome != "current" || err != nil {
		t.Errorf("what was rolled back by hand comes again by itself: %+v, %v", rep, err)
	}
}

// A release that calls itself compatible while its program says otherwise gets the copy.
func TestTheProgramsWordDecidesTheWayBack(t *testing.T) {
	for _, floor := range []int{0, 2} {
		r, v := newShopRig(t)
		v.release(t, "1.1.0", 2, false, func(o *publish.BuildOptions) {
			o.Release.DB = release.DB{SchemaFrom: 1, SchemaTo: 2, BackwardCompatible: true}
		})
		r.shop.Clock = v.Clock
		rep, err := tolerant(r, r.updater(nil), floor).Update(t.Context(), Request{})
		if err != nil || !rep.Plan.CopiesDB || rep.Plan.Transition.BackwardCompatible {
			t.Errorf("floor %d: %+v, %v", floor, rep.Plan, err)
		}
		if _, err := r.updater(nil).Rollback(t.Context()); uerr.KindOf(err) != uerr.LossGuard {
			t.Errorf("floor %d: rollback: %v", floor, err)
		}
	}
}

// TestO11_ARevokedVersionIsLeftForTheOneThatTheVendorNames: the vendor takes 1.1.0 back; the next unattended run goes back
// to 1.0.0, which is on the disk still.
func TestO11_ARevokedVersionIsLeftForTheOneThatTheVendorNames(t *testing.T) {
	compatible := func(o *publish.BuildOptions) {
		o.Release.DB = release.DB{SchemaFrom: 1, SchemaTo: 2, BackwardCompatible: true}
	}
	r, v := newShopRig(t)
	v.release(t, "1.1.0", 2, false, compatible)
	r.shop.Clock = v.Clock
	u := tolerant(r, r.updater(nil), 1)
	unattended := Request{Wish: Wish{Unattended: true}}
	if rep, err := u.Update(t.Context(), unattended); err != nil || rep.Version != "1.1.0" {
		t.Fatalf("%+v, %v", rep, err)
	}
	v.Clock = v.Clock.AddDate(0, 0, 1)
	if _, err := publish.Amend(v.Stage, v.Dir, release.Stable, v.Clock, func(ix *release.Index) error {
		ix.Revoked = append(ix.Revoked, release.Revocation{Version: "1.1.0", Reason: "loses appointments", RollbackTo: "1.0.0"})
		ix.Latest = "1.0.0"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	v.Sign(t, release.Stable)
	v.Publish(t)
	r.shop.Clock = v.Clock
	u = tolerant(r, r.updater(nil), 1)
	pl, err := u.Check(t.Context(), Wish{Unattended: true})
	if err != nil || pl == nil || !pl.Mandatory || pl.Transition.Action != ActionRollback {
		t.Fatalf("%+v, %v", pl, err)
	}
	if rep, err := u.Update(t.Context(), unattended); err != nil || rep.Version != "1.0.0" {
		t.Fatalf("%+v, %v", rep, err)
	}
	if rep, err := u.Update(t.Context(), unattended); err != nil || rep.Outcome != "current" {
		t.Errorf("%+v, %v", rep, err)
	}
	r.holds(t, "1.1.0", "")
}

func TestO11_NoRollbackBelowTheFloorOrWithoutAsking(t *testing.T) {
	r, v := newShopRig(t)
	v.release(t, "1.1.0", 1, false, nil)
	r.shop.Clock = v.Clock
	if rep, err := r.updater(nil).Update(t.Context(), Request{}); err != nil || rep.Version != "1.1.0" {
		t.Fatalf("%+v, %v", rep, err)
	}
	v.release(t, "1.2.0", 1, false, func(o *publish.BuildOptions) { o.Floors = map[string]string{release.Server: "1.1.0"} })
	r.shop.Clock = v.Clock
	if _, err := r.updater(nil).Rollback(t.Context()); uerr.KindOf(err) != uerr.Precond || !strings.Contains(err.Error(), "at least 1.1.0") {
		t.Errorf("got %v", err)
	}
	r.settled(t, "1.1.0")
	// On the worst day the source is gone too.
	r.shop.Repo = "http://127.0.0.1:1"
	if rep, err := r.updater(nil).Rollback(t.Context()); err != nil || rep.Version != "1.0.0" {
		t.Errorf("%+v, %v", rep, err)
	}
	r.settled(t, "1.0.0")
}
