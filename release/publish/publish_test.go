package publish_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/archive"
	"practicectl/release/publish"
)

func server(content string) publish.Component {
	return testenv.Part(release.Server, map[string]string{"bin/practice-server": content, "LICENSE": "text"})
}

func TestO8_ReleaseReachesTheClientVerified(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Build(t, release.Stable, "1.0.0", func(o *publish.BuildOptions) {
		o.Release.Notes = "First release."
		o.Release.DB = release.DB{SchemaFrom: 1, SchemaTo: 1, BackwardCompatible: true}
	}, server("one"), testenv.Part(release.FrontDesk, map[string]string{"module.toml": "x"}))
	r.Build(t, release.Deps, "18.4.0", nil, testenv.Part(release.Postgres, map[string]string{"bin/postgres": "pg"}))
	r.Sign(t, release.Stable)
	r.Sign(t, release.Deps)
	r.Publish(t)
	r.Clock = r.Clock.Add(24 * time.Hour)
	r.Release(t, release.Stable, "1.1.0", server("two"))

	c := r.Client(t, "", nil)
	cat, err := c.Refresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if cat.Index.Latest != "1.1.0" || cat.Deps.Latest != "18.4.0" || len(cat.Index.Releases) != 2 || cat.Stale {
		t.Fatalf("catalog %+v", cat)
	}
	if got, _ := cat.Index.Release("1.0.0"); got.Notes != "First release." || got.DB.SchemaTo != 1 {
		t.Errorf("release 1.0.0 is %+v", got)
	}
	if !cat.Issued.Equal(r.Clock) {
		t.Errorf("issued %s, want %s", cat.Issued, r.Clock)
	}
	for component, want := range map[string]string{release.Server: "1.1.0", release.FrontDesk: "1.0.0", release.Postgres: "18.4.0"} {
		tg, err := cat.Find(component, "", "linux", "amd64")
		if err != nil || tg.Version != want {
			t.Errorf("%s: %v %v, want %s", component, tg.Version, err, want)
			continue
		}
		file := filepath.Join(t.TempDir(), "a")
		if err := c.Fetch(t.Context(), tg, file, nil); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := archive.Unpack(t.Context(), f, filepath.Join(t.TempDir(), "u"))
		if err = errors.Join(err, f.Close()); err != nil || m.Name != component {
			t.Errorf("unpacked %s: %v", m.Name, err)
		}
	}
	if _, err := cat.Find("relay", "", "linux", "amd64"); uerr.KindOf(err) != uerr.NotFound {
		t.Errorf("find relay: %v", err)
	}
	rep, err := publish.Verify(t.Context(), publish.VerifyOptions{Source: r.Dir, Root: r.Root, Now: r.Now})
	if err != nil || rep.Targets != 4 || rep.Latest[release.Stable] != "1.1.0" {
		t.Errorf("verify: %+v, %v", rep, err)
	}
}

var errCrash = errors.New("power cut")

func TestInterruptedPublicationServesTheOldStateAndFinishes(t *testing.T) {
	for _, point := range []string{"verify", "targets", "metadata", "canary", "timestamp", "clean"} {
		t.Run(point, func(t *testing.T) {
			r := testenv.NewReleases(t)
			r.Release(t, release.Stable, "1.0.0", server("one"))
			r.Build(t, release.Stable, "1.1.0", nil, server("two"))
			r.Sign(t, release.Stable)
			o := publish.PublishOptions{Stage: r.Stage, Repo: r.Dir, Snapshot: r.Ring[publish.Snapshot][0], Timestamp: r.Ring[publish.Timestamp][0], Now: r.Clock,
				Crash: func(at string) error {
					if at == point {
						return errCrash
					}
					return nil
				}}
			if _, err := publish.Publish(t.Context(), o); !errors.Is(err, errCrash) {
				t.Fatalf("got %v", err)
			}
			want := "1.0.0"
			if point == "clean" {
				want = "1.1.0"
			}
			c := r.Client(t, "", nil)
			if cat, err := c.Refresh(t.Context()); err != nil || cat.Index.Latest != want {
				t.Fatalf("after the crash: %v, %v", cat, err)
			}
			o.Crash, o.Now = nil, r.Clock.Add(time.Minute)
			if _, err := publish.Publish(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if cat, err := c.Refresh(t.Context()); err != nil || cat.Index.Latest != "1.1.0" {
				t.Fatalf("after the second run: %v", err)
			}
		})
	}
}

func TestTooFewSignaturesAreNotPublished(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Build(t, release.Stable, "1.0.0", nil, server("one"))
	publishNow := func() error {
		_, err := publish.Publish(t.Context(), publish.PublishOptions{Stage: r.Stage, Repo: r.Dir,
			Snapshot: r.Ring[publish.Snapshot][0], Timestamp: r.Ring[publish.Timestamp][0], Now: r.Clock})
		return err
	}
	one := r.Ring[release.Stable][0]
	st, err := publish.Sign(r.Stage, r.Dir, release.Stable, one, one)
	if err != nil || st.Complete || len(st.Signed) != 1 || len(st.Missing) != 2 {
		t.Fatalf("one key signing twice: %+v, %v", st, err)
	}
	if err := publishNow(); uerr.KindOf(err) != uerr.Precond {
		t.Fatalf("published with one signature: %v", err)
	}
	if _, err := publish.Sign(r.Stage, r.Dir, release.Stable, r.Ring[publish.Snapshot][0]); uerr.KindOf(err) != uerr.Auth {
		t.Fatalf("a foreign key may sign: %v", err)
	}
	r.Sign(t, release.Stable)
	// whoever changes the stage after the signatures loses them all
	path := filepath.Join(r.Stage, "targets", "stable", "server", "1.0.0", "any", "server.tar.zst")
	if err := os.WriteFile(path, []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := publishNow(); uerr.KindOf(err) != uerr.Integrity {
		t.Fatalf("published a file that was not signed: %v", err)
	}
	r.Build(t, release.Stable, "1.0.0", nil, server("one"))
	if err := publishNow(); uerr.KindOf(err) != uerr.Precond {
		t.Fatalf("a rebuilt draft kept its signatures: %v", err)
	}
	r.Sign(t, release.Stable)
	if err := publishNow(); err != nil {
		t.Fatal(err)
	}
}

func TestRootNeedsOldAndNewThreshold(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Release(t, release.Stable, "1.0.0", server("one"))
	fresh, err := publish.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	old := r.Ring[publish.Root]
	_, err = publish.Rotate(publish.Rotation{Stage: r.Stage, Repo: r.Dir, Now: r.Clock,
		Revoke: map[string][]string{publish.Root: {old[0].ID, old[1].ID}},
		Add:    map[string][]publish.PublicKey{publish.Root: {fresh.PublicKey}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key  *publish.Key
		done bool
	}{{fresh, false}, {old[2], false}, {old[0], true}} {
		if st, err := publish.Sign(r.Stage, r.Dir, publish.Root, c.key); err != nil || st.Complete != c.done {
			t.Fatalf("after %v: %+v, %v", c.done, st, err)
		}
	}
	r.Publish(t)
	if _, err := r.Client(t, "", nil).Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestExpiringSignaturesAreNotPublished(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Release(t, release.Stable, "1.0.0", server("one"))
	r.Release(t, release.Beta, "1.1.0-beta.1", server("two"))
	r.Clock = r.Clock.Add(90 * 24 * time.Hour)
	r.Publish(t) // beta has expired: it is exempt
	r.Clock = r.Clock.Add(10 * 24 * time.Hour)
	_, err := publish.Publish(t.Context(), publish.PublishOptions{Stage: r.Stage, Repo: r.Dir,
		Snapshot: r.Ring[publish.Snapshot][0], Timestamp: r.Ring[publish.Timestamp][0], Now: r.Clock})
	if uerr.KindOf(err) != uerr.Precond {
		t.Fatalf("stable has 265 days left and was published: %v", err)
	}
}

func TestPublishedVersionIsImmutable(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Release(t, release.Stable, "1.0.0", server("one"))
	o := publish.BuildOptions{Stage: r.Stage, Repo: r.Dir, Role: release.Stable, Release: release.Release{Version: "1.0.0"}, Effort: archive.Fast, Now: r.Clock}
	o.Components = []publish.Component{server("other")}
	if _, err := publish.Build(t.Context(), o); uerr.KindOf(err) != uerr.Precond {
		t.Fatalf("got %v", err)
	}
	o.Components = []publish.Component{server("one")}
	if _, err := publish.Build(t.Context(), o); err != nil {
		t.Fatalf("the same bytes again: %v", err)
	}
}

func TestChannelKeepsTheNewestReleases(t *testing.T) {
	r := testenv.NewReleases(t)
	var pruned []string
	for i := range release.MaxReleases + 2 {
		o := publish.BuildOptions{Stage: r.Stage, Repo: r.Dir, Role: release.Stable, Release: release.Release{Version: fmt.Sprintf("1.%d.0", i)},
			Components: []publish.Component{server("one")}, Effort: archive.Fast, Now: r.Clock}
		rep, err := publish.Build(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		pruned = append(pruned, rep.Pruned...)
	}
	if !slices.Equal(pruned, []string{"1.0.0", "1.1.0"}) {
		t.Errorf("pruned %v", pruned)
	}
	r.Sign(t, release.Stable)
	r.Publish(t)
	cat, err := r.Client(t, "", nil).Refresh(t.Context())
	if err != nil || len(cat.Targets()) != release.MaxReleases {
		t.Fatalf("%d targets, %v", len(cat.Targets()), err)
	}
}
