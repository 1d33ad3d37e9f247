package publish_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"practicectl/internal/secret"
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

// TUF dates are whole seconds in UTC, delegations are path patterns, and one person's two signatures are one.
func TestWhatIsSignedKeepsToTheRules(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Clock = time.Date(2026, 11, 23, 13, 0, 0, 123456789, time.FixedZone("CET", 3600))
	r.Build(t, release.Stable, "1.0.0", nil, server("one"))
	r.Sign(t, release.Stable)
	r.Sign(t, release.Stable) // again, by the same two people
	r.Publish(t)
	if _, err := r.Client(t, "", nil).Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(r.Dir, "metadata", "*.json"))
	if err != nil || len(files) != 5 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"(?:expires|x-issued)": "([^"]*)"`).FindAllStringSubmatch(string(text), -1) {
			if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`).MatchString(m[1]) {
				t.Errorf("%s: date %s", f, m[1])
			}
		}
		if strings.Contains(string(text), "path_hash_prefixes") || strings.Contains(string(text), "sha512") {
			t.Errorf("%s: hash prefixes or a second hash", f)
		}
	}
}

func TestKeyFiles(t *testing.T) {
	k, err := publish.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(t.TempDir(), "alice")
	if err := publish.SaveKey(base, k, secret.New("correct horse"), 10); err != nil {
		t.Fatal(err)
	}
	if err := publish.SaveKey(base, k, secret.New("x"), 10); uerr.KindOf(err) != uerr.Precond {
		t.Errorf("a key was overwritten: %v", err)
	}
	sealed, err := os.ReadFile(base + ".key.age")
	if err != nil || strings.Contains(string(sealed), "PRIVATE KEY") {
		t.Fatal("not sealed", err)
	}
	if st, err := os.Stat(base + ".key.age"); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	got, err := publish.OpenKey(sealed, secret.New("correct horse"))
	if err != nil || got.ID != k.ID || !got.Private().Equal(k.Private()) {
		t.Errorf("opened %v, %v", got, err)
	}
	if _, err := publish.OpenKey(sealed, secret.New("wrong")); uerr.KindOf(err) != uerr.Auth {
		t.Errorf("wrong passphrase: %v", err)
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := publish.OpenKey(sealed, secret.New("correct horse")); uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("tampered: %v", err)
	}
	pub, err := os.ReadFile(base + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	p, err := publish.ParsePublicKey(pub)
	if err != nil || p.ID != k.ID || len(strings.Fields(p.Words())) != 6 {
		t.Errorf("public key %+v, %v", p, err)
	}
	if _, err := publish.ParsePublicKey(sealed); uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("rubbish as public key: %v", err)
	}
	if _, err := k.Seal(secret.Text{}, 10); uerr.KindOf(err) != uerr.Precond {
		t.Errorf("empty passphrase: %v", err)
	}
}

func TestCeremonyRefusesThresholdsThatCannotBeMet(t *testing.T) {
	ring, err := publish.GenerateKeyring()
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(o *publish.CeremonyOptions){
		"threshold 0":              func(o *publish.CeremonyOptions) { o.Thresholds = map[string]int{publish.Root: 0} },
		"more than there are keys": func(o *publish.CeremonyOptions) { o.Thresholds = map[string]int{publish.Root: 4} },
		"one key twice": func(o *publish.CeremonyOptions) {
			o.Keys[publish.Root] = append(o.Keys[publish.Root][:1:1], o.Keys[publish.Root][0])
		},
		"no timestamp key":         func(o *publish.CeremonyOptions) { delete(o.Keys, publish.Timestamp) },
		"role that does not exist": func(o *publish.CeremonyOptions) { o.Thresholds = map[string]int{"rot": 1} },
	} {
		o := publish.CeremonyOptions{Stage: t.TempDir(), Keys: ring.Public(), Now: time.Now()}
		change(&o)
		if _, err := publish.InitCeremony(o); uerr.KindOf(err) != uerr.Precond {
			t.Errorf("%s: %v", what, err)
		}
	}
	o := publish.CeremonyOptions{Stage: t.TempDir(), Keys: ring.Public(), Now: time.Now()}
	if _, err := publish.InitCeremony(o); err != nil {
		t.Fatal(err)
	}
	if _, err := publish.InitCeremony(o); uerr.KindOf(err) != uerr.Precond {
		t.Errorf("a second ceremony over the first: %v", err)
	}
}

func TestFloorsOnlyRise(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Release(t, release.Stable, "1.0.0", server("one"))
	floor := func(v string) error {
		_, err := publish.Build(t.Context(), publish.BuildOptions{Stage: r.Stage, Repo: r.Dir, Role: release.Stable, Now: r.Clock, Effort: archive.Fast,
			Release: release.Release{Version: "1.1.0"}, Components: []publish.Component{server("two")}, Floors: map[string]string{release.Server: v}})
		return err
	}
	if err := floor("1.0.0"); err != nil {
		t.Fatal(err)
	}
	if err := floor("0.9.0"); uerr.KindOf(err) != uerr.Precond {
		t.Errorf("the floor sank: %v", err)
	}
	st, err := publish.Amend(r.Stage, r.Dir, release.Stable, r.Clock, func(ix *release.Index) error {
		ix.Revoked = append(ix.Revoked, release.Revocation{Version: "1.0.0", Reason: "loses drafts"})
		return nil
	})
	if err != nil || st.Complete {
		t.Fatalf("%+v, %v", st, err)
	}
	r.Sign(t, release.Stable)
	r.Publish(t)
	cat, err := r.Client(t, "", nil).Refresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, revoked := cat.Index.RevocationOf(release.Server, "1.0.0"); !revoked || cat.Index.Floors[release.Server] != "1.0.0" {
		t.Errorf("index %+v", cat.Index)
	}
}
