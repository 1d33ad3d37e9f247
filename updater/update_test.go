package updater

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/archive"
	"practicectl/release/publish"
)

// vendor is a release repository whose releases fit the rig.
type vendor struct{ *testenv.Releases }

// parts are the rig's components as a vendor builds them.
func parts(t *testing.T, version string, schema int, broken bool) (all []publish.Component) {
	t.Helper()
	for _, name := range rigComponents {
		dir := t.TempDir()
		if err := layComponent(dir, name, version, schema, broken); err != nil {
			t.Fatal(err)
		}
		all = append(all, publish.Component{Name: name, OS: release.Any, Arch: release.Any, Files: os.DirFS(dir)})
	}
	return all
}

func (v vendor) release(t *testing.T, version string, schema int, broken bool, edit func(*publish.BuildOptions)) {
	t.Helper()
	v.Clock = v.Clock.Add(time.Hour)
	v.Build(t, release.Stable, version, edit, parts(t, version, schema, broken)...)
	v.Sign(t, release.Stable)
	v.Publish(t)
}

// newShopRig is an installation of 1.0.0 beside a vendor who has published it.
func newShopRig(t *testing.T) (rig, vendor) {
	t.Helper()
	v := vendor{testenv.NewReleases(t)}
	v.Build(t, release.Deps, "18.4.0", nil, testenv.Part(release.Postgres, map[string]string{"bin/postgres": "x"}))
	v.Sign(t, release.Deps)
	v.release(t, "1.0.0", 1, false, nil)
	r := newFolderRig(t)
	r.install(t, "1.0.0", 1, false)
	r.live(t, "1.0.0")
	r.shop = &shop{Repo: v.Dir, Root: v.Root, Clock: v.Clock}
	return r, v
}

// snapshot is every file of the installation with its content, for "nothing was changed".
func (r rig) snapshot(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, top := range []string{"opt", "server.json", "var/pg"} {
		err := filepath.WalkDir(r.path(top), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			if e.Type()&fs.ModeSymlink != 0 {
				all[path], err = os.Readlink(path)
				return err
			}
			b, err := os.ReadFile(path)
			all[path] = string(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestO8_AMachineUpdatesItselfFromTheRepository goes from 1.0.0 to 1.1.0 with a migration, fails at 1.2.0, leaves that
// version alone when nobody is looking, and goes on to 1.3.0.
func TestO8_AMachineUpdatesItselfFromTheRepository(t *testing.T) {
	r, v := newShopRig(t)
	unattended := Request{Wish: Wish{Unattended: true}}
	update := func() (Report, error) {
		t.Helper()
		r.shop.Clock = v.Clock
		return r.updater(nil).Update(t.Context(), unattended)
	}
	if rep, err := update(); rep.Outcome != "current" || rep.Version != "1.0.0" || rep.Plan != nil || err != nil {
		t.Fatalf("%+v, %v", rep, err)
	}
	v.release(t, "1.1.0", 2, false, func(o *publish.BuildOptions) { o.Release.Notes = "Neu: Notizen." })
	rep, err := update()
	if err != nil || rep.Outcome != "committed" || rep.Version != "1.1.0" || rep.Plan.Notes != "Neu: Notizen." || !rep.Plan.CopiesDB || len(rep.Plan.Targets) != 3 {
		t.Fatalf("%+v, %v", rep, err)
	}
	r.settled(t, "1.1.0")
	r.holds(t, "1.1.0", "")

	v.release(t, "1.2.0", 3, true, nil)
	if rep, err := update(); uerr.ExitCode(err) != 1 || rep.Version != "1.1.0" || rep.Outcome != "rolled back" {
		t.Fatalf("%+v, %v", rep, err)
	}
	r.settled(t, "1.1.0")
	r.holds(t, "1.1.0", "")
	if rep, err := update(); rep.Outcome != "current" || err != nil {
		t.Fatalf("the failed version is tried again: %+v, %v", rep, err)
	}
	// Somebody who names the version may try again.
	if rep, err := r.updater(nil).Update(t.Context(), Request{Wish: Wish{Version: "1.2.0"}}); uerr.KindOf(err) != uerr.Failed || rep.Version != "1.1.0" {
		t.Fatalf("%+v, %v", rep, err)
	}
	v.release(t, "1.3.0", 3, false, nil)
	if rep, err := update(); rep.Version != "1.3.0" || err != nil || len(rep.Plan.Skipped) != 1 {
		t.Fatalf("%+v, %v", rep, err)
	}
	r.settled(t, "1.3.0")
	history, err := r.updater(nil).History()
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, e := range history {
		told = append(told, e.Transition.From+">"+e.Transition.To+" "+e.Outcome)
	}
	want := []string{"1.0.0>1.1.0 committed", "1.1.0>1.2.0 rolled back", "1.1.0>1.2.0 rolled back", "1.1.0>1.3.0 committed"}
	if !slices.Equal(told, want) {
		t.Errorf("history %q", told)
	}
	// One version is kept besides the one before.
	if versions, _ := r.slots("server").Versions(); !slices.Equal(versions, []string{"1.0.0", "1.1.0", "1.3.0"}) {
		t.Errorf("on disk: %v", versions)
	}
	if left, _ := os.ReadDir(r.path("var", "downloads")); len(left) != 0 {
		t.Errorf("left in downloads: %v", left)
	}
}

// TestO12_KilledAnywhereInAWholeUpdateTheNextRunFinishesIt kills check, fetch, unpack and every step, then runs the same
// command again.
func TestO12_KilledAnywhereInAWholeUpdateTheNextRunFinishesIt(t *testing.T) {
	r0, v := newShopRig(t)
	v.release(t, "1.1.0", 2, false, nil)
	fresh := func() rig {
		r := newFolderRig(t)
		r.install(t, "1.0.0", 1, false)
		r.live(t, "1.0.0")
		r.shop = &shop{Repo: v.Dir, Root: v.Root, Clock: v.Clock}
		return r
	}
	r0.shop.Clock = v.Clock
	points := pointsOf(func(crash func(string)) {
		if _, err := r0.updater(crash).Update(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
	})
	if !slices.Contains(points, "fetched/server") || !slices.Contains(points, "staged/practicectl") || len(points) < 35 {
		t.Fatalf("points: %v", points)
	}
	for _, point := range points {
		r := fresh()
		victim{Dir: r.Dir, Point: point, Do: "whole update", Shop: r.shop}.kill(t)
		written := r.mayWrite(t)
		rep, err := r.updater(nil).Update(t.Context(), Request{})
		if err != nil || rep.Version != "1.1.0" {
			t.Fatalf("killed at %s: %+v, %v", point, rep, err)
		}
		r.settled(t, "1.1.0")
		r.holds(t, "1.1.0", written)
		if t.Failed() {
			t.Fatalf("killed at %s", point)
		}
	}
}

func TestO9_ATamperedArchiveIsRefusedAndNothingChanges(t *testing.T) {
	r, v := newShopRig(t)
	v.release(t, "1.1.0", 2, false, nil)
	r.shop.Clock = v.Clock
	tampered := 0
	err := filepath.WalkDir(filepath.Join(v.Dir, "targets"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.Contains(path, "1.1.0") || !strings.Contains(path, "server") {
			return err
		}
		data, err := os.ReadFile(path)
		data[len(data)/2] ^= 1
		tampered++
		return errors.Join(err, os.WriteFile(path, data, 0o644))
	})
	if err != nil || tampered == 0 {
		t.Fatalf("tampered with %d files, %v", tampered, err)
	}
	before := r.snapshot(t)
	_, err = r.updater(nil).Update(t.Context(), Request{})
	if uerr.ExitCode(err) != 13 {
		t.Errorf("exit %d: %v", uerr.ExitCode(err), err)
	}
	// Components before the tampered one may lie staged beside the live ones; they are genuine and not in use.
	if err := r.updater(nil).discard(r.transition("1.0.0", "1.1.0")); err != nil {
		t.Fatal(err)
	}
	if after := r.snapshot(t); !maps.Equal(before, after) {
		t.Error("something was changed")
	}
	r.settled(t, "1.0.0")
}

func TestO9_AStagedVersionThatSomebodyChangedIsFetchedAgain(t *testing.T) {
	r, v := newShopRig(t)
	v.release(t, "1.1.0", 2, false, nil)
	r.shop.Clock = v.Clock
	u := r.updater(nil)
	pl, err := u.Check(t.Context(), Wish{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.stage(t.Context(), pl); err != nil {
		t.Fatal(err)
	}
	evil := filepath.Join(r.slots("server").Path("1.1.0"), "bin", "server")
	if err := os.WriteFile(evil, []byte("#!/bin/sh\necho evil server\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	// Whoever changes a file may also make a manifest that fits.
	server := r.slots("server")
	manifest := filepath.Join(server.Path("1.1.0"), archive.ManifestName)
	m := must(archive.ReadManifest(server.Path("1.1.0")))
	sum := sha256.Sum256(must(os.ReadFile(evil)))
	for i := range m.Files {
		if m.Files[i].Path == "bin/server" {
			m.Files[i].SHA256, m.Files[i].Size = hex.EncodeToString(sum[:]), int64(len(must(os.ReadFile(evil))))
		}
	}
	if err := errors.Join(os.WriteFile(manifest, must(m.Encode()), 0o644), archive.VerifyDir(server.Path("1.1.0"))); err != nil {
		t.Fatal(err)
	}
	if rep, err := u.Update(t.Context(), Request{}); err != nil || rep.Version != "1.1.0" {
		t.Fatalf("%+v, %v", rep, err)
	}
	if got, err := os.ReadFile(evil); strings.Contains(string(got), "evil") || err != nil {
		t.Errorf("live server is %q, %v", got, err)
	}
}

func TestO13_NoUpdateBeforeTheUsersWereTold(t *testing.T) {
	r, v := newShopRig(t)
	v.release(t, "1.1.0", 1, false, func(o *publish.BuildOptions) {
		o.Release.NoticeDays, o.Release.Notes = 3, "Neu: Kalender."
		end := v.Clock.AddDate(0, 0, 30)
		o.Release.MandatoryAfter = &end
	})
	r.shop.Clock = v.Clock
	u := r.updater(nil)
	if _, err := u.Check(t.Context(), Wish{DryRun: true}); err != nil {
		t.Fatal(err)
	}
	if told, err := ReadNotices(u.o.Notices); len(told) != 0 || err != nil {
		t.Errorf("a dry run told the users: %v, %v", told, err)
	}
	pl, err := u.Check(t.Context(), Wish{})
	if err != nil || !pl.NotBefore.Equal(v.Clock.AddDate(0, 0, 3)) {
		t.Fatalf("%+v, %v", pl, err)
	}
	notices, err := ReadNotices(u.o.Notices)
	if n := notices["1.1.0"]; err != nil || n.Notes != "Neu: Kalender." || !n.NotBefore.Equal(pl.NotBefore) {
		t.Errorf("notices %+v, %v", notices, err)
	}
	r.shop.Clock = v.Clock.AddDate(0, 0, 2)
	if _, err := u.Update(t.Context(), Request{}); uerr.KindOf(err) != uerr.Precond || !strings.Contains(uerr.HintOf(err), "--skip-notice") {
		t.Errorf("got %v, hint %q", err, uerr.HintOf(err))
	}
	r.settled(t, "1.0.0")
	if rep, err := u.Update(t.Context(), Request{SkipNotice: "Sicherheitslücke, mit allen besprochen"}); err != nil || rep.Version != "1.1.0" {
		t.Fatalf("%+v, %v", rep, err)
	}
	history, err := u.History()
	if err != nil || history[0].Transition.Remark != "Sicherheitslücke, mit allen besprochen" {
		t.Errorf("the reason is not in the history: %+v, %v", history, err)
	}
	// Without anybody setting it aside it goes by itself when the notice is over.
	r2 := newFolderRig(t)
	r2.install(t, "1.0.0", 1, false)
	r2.live(t, "1.0.0")
	r2.shop = &shop{Repo: v.Dir, Root: v.Root, Clock: v.Clock}
	if _, err := r2.updater(nil).Check(t.Context(), Wish{Unattended: true}); err != nil {
		t.Fatal(err)
	}
	r2.shop.Clock = v.Clock.AddDate(0, 0, 3)
	if rep, err := r2.updater(nil).Update(t.Context(), Request{Wish: Wish{Unattended: true}}); err != nil || rep.Version != "1.1.0" {
		t.Errorf("%+v, %v", rep, err)
	}
}

// TestO11_MandatoryAndFloors: a deadline ends the notice, a floor refuses older versions, a stepping stone comes first.
func TestO11_MandatoryFloorsAndSteppingStones(t *testing.T) {
	r, v := newShopRig(t)
	v.release(t, "1.1.0", 1, false, nil)
	v.release(t, "1.2.0", 1, false, func(o *publish.BuildOptions) {
		o.Release.MinFrom, o.Release.NoticeDays = "1.1.0", 14
		deadline := v.Clock
		o.Release.MandatoryAfter = &deadline
		o.Floors = map[string]string{release.Server: "1.1.0"}
	})
	r.shop.Clock = v.Clock.Add(time.Hour)
	u := r.updater(nil)
	pl, err := u.Check(t.Context(), Wish{Unattended: true})
	if err != nil || !pl.Mandatory || pl.Transition.To != "1.1.0" || pl.Then != "1.2.0" {
		t.Fatalf("%+v, %v", pl, err)
	}
	for _, want := range []string{"1.1.0", "1.2.0"} {
		if rep, err := u.Update(t.Context(), Request{Wish: Wish{Unattended: true}}); err != nil || rep.Version != want {
			t.Fatalf("%+v, %v", rep, err)
		}
	}
	for version, want := range map[string]string{"1.0.0": "oldest allowed version 1.1.0", "9.9.9": "not in channel", "1.1.0": "older than the installed"} {
		_, err := u.Update(t.Context(), Request{Wish: Wish{Version: version}})
		if uerr.KindOf(err) != uerr.Precond || !strings.Contains(err.Error(), want) {
			t.Errorf("--to %s: %v", version, err)
		}
	}
	r.settled(t, "1.2.0")
}

func TestPreflightRefusesBeforeAnythingIsFetched(t *testing.T) {
	r, v := newShopRig(t)
	v.release(t, "1.1.0", 2, false, nil)
	r.shop.Clock = v.Clock
	before := r.snapshot(t)
	cases := []struct {
		name  string
		spoil func(u *Updater)
		exit  int
		want  string
	}{
		{"no space", func(u *Updater) { u.o.Free = func(string) (int64, error) { return 100, nil } }, 16, "MB free"},
		{"server down", func(u *Updater) { u.o.Hooks.Probe = func(context.Context) error { return errors.New("refused") } }, 14, "not ready"},
		{"schema too new", func(u *Updater) {
			u.o.Hooks.Schema = func(context.Context, string) (Schema, error) { return Schema{Known: 2, Applied: 7}, nil }
		}, 18, "newer than"},
	}
	for _, c := range cases {
		u := r.updater(nil)
		c.spoil(u)
		_, err := u.Update(t.Context(), Request{})
		if uerr.ExitCode(err) != c.exit || !strings.Contains(err.Error(), c.want) || uerr.HintOf(err) == "" {
			t.Errorf("%s: exit %d, %v, hint %q", c.name, uerr.ExitCode(err), err, uerr.HintOf(err))
		}
		if err := u.discard(r.transition("1.0.0", "1.1.0")); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(before, r.snapshot(t)) {
			t.Errorf("%s: something was changed", c.name)
		}
	}
}

func TestASourceThatCannotBeReachedChangesNothing(t *testing.T) {
	r, _ := newShopRig(t)
	r.shop.Repo = "http://127.0.0.1:1"
	if _, err := r.updater(nil).Update(t.Context(), Request{}); uerr.ExitCode(err) != 15 {
		t.Errorf("exit %d: %v", uerr.ExitCode(err), err)
	}
	r.settled(t, "1.0.0")
}
