package trust_test

import (
	"path/filepath"
	"testing"
	"time"

	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/trust"
)

const aDay = 24 * time.Hour

// machine is a client whose clock the test sets.
type machine struct {
	*trust.Client
	now time.Time
}

func newMachine(t *testing.T, r *testenv.Releases, mode string) *machine {
	m := &machine{now: r.Clock}
	m.Client = r.Client(t, "", func(o *trust.Options) { o.Mode, o.Now = mode, func() time.Time { return m.now } })
	return m
}

func TestClockOf1970StillInstallsAndSeesRollout(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Release(t, release.Stable, "1.0.0", big(release.Server, "a", 1000))
	m := newMachine(t, r, trust.Online)
	m.now = time.Unix(0, 0)
	cat, err := m.Refresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !cat.Now.Equal(r.Clock) {
		t.Errorf("trusted time is %s, want the signed %s", cat.Now, r.Clock)
	}
	// The same dead clock does not hide that time goes on: what was seen stays seen.
	r.Clock = r.Clock.Add(40 * aDay)
	r.Publish(t)
	if _, err = m.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if cat, err = m.Refresh(t.Context()); err != nil || cat.Now.Before(r.Clock) {
		t.Errorf("trusted time is %v, %v", cat, err)
	}
}

func TestClockOf2040IsReportedAndLeavesNoTrace(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Release(t, release.Stable, "1.0.0", big(release.Server, "a", 1000))
	for _, seenBefore := range []bool{true, false} {
		for _, mode := range []string{trust.Online, trust.AirGap} {
			m := newMachine(t, r, mode)
			if seenBefore {
				if _, err := m.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			m.now = time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
			for range 2 {
				_, err := m.Refresh(t.Context())
				if uerr.KindOf(err) != uerr.Precond || uerr.HintOf(err) != "set the clock of this machine and try again: date" {
					t.Fatalf("%s, seen before %v: %v", mode, seenBefore, err)
				}
			}
			m.now = r.Clock.Add(time.Hour)
			if _, err := m.Refresh(t.Context()); err != nil {
				t.Fatalf("%s: after the clock was set right: %v", mode, err)
			}
		}
	}
}

func TestClockTurnedBackDoesNotReviveExpiredMetadata(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Release(t, release.Stable, "1.0.0", big(release.Server, "a", 1000))
	m := newMachine(t, r, trust.Online)
	m.now = r.Clock.Add(13 * aDay)
	if _, err := m.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Clock = r.Clock.Add(13 * aDay)
	r.Publish(t)
	m.now = r.Clock.Add(13 * aDay)
	if _, err := m.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.now = r.Clock.Add(-20 * aDay)
	cat, err := m.Refresh(t.Context())
	if err != nil || cat.Now.Before(r.Clock.Add(13*aDay)) {
		t.Fatalf("trusted time went back: %v, %v", cat, err)
	}
}

func TestExpiryModes(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Release(t, release.Stable, "1.0.0", big(release.Server, "a", 1000))
	for _, c := range []struct {
		mode   string
		days   int
		ok     bool
		stale  bool
		reason string
	}{
		{trust.Online, 13, true, false, "not expired"},
		{trust.Online, 15, false, false, "no grace"},
		{trust.LAN, 43, true, true, "29 days late"},
		{trust.LAN, 45, false, false, "31 days late"},
		{trust.AirGap, 200, true, true, "186 days late"},
		{trust.AirGap, 213, true, true, "199 days late"},
		{trust.AirGap, 215, false, false, "201 days late"},
		{trust.AirGap, 370, false, false, "the channel itself has expired"},
	} {
		m := newMachine(t, r, c.mode)
		m.now = r.Clock.Add(time.Duration(c.days) * aDay)
		for run := range 2 { // with and without anything remembered
			cat, err := m.Refresh(t.Context())
			if (err == nil) != c.ok || !c.ok && uerr.KindOf(err) != uerr.Precond {
				t.Errorf("%s after %d days (%s), run %d: %v", c.mode, c.days, c.reason, run, err)
			} else if c.ok && cat.Stale != c.stale {
				t.Errorf("%s after %d days: stale is %v", c.mode, c.days, cat.Stale)
			}
		}
	}
}

func TestGraceNeverCoversWhatIsSignedOffline(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Release(t, release.Stable, "1.0.0", big(release.Server, "a", 1000))
	r.Clock = r.Clock.Add(94 * aDay)
	r.Publish(t) // stable has 271 days left
	m := newMachine(t, r, trust.AirGap)
	m.now = r.Clock.Add(213 * aDay)
	if cat, err := m.Refresh(t.Context()); err != nil || !cat.Stale {
		t.Fatalf("%v, %v", cat, err)
	}
	m.now = r.Clock.Add(272 * aDay)
	if _, err := m.Refresh(t.Context()); uerr.KindOf(err) != uerr.Precond {
		t.Fatalf("got %v", err)
	}
}

func TestGraceStillRefusesRollback(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Release(t, release.Stable, "1.0.0", big(release.Server, "a", 1000))
	old := read(t, r.Dir, "metadata", "timestamp.json")
	r.Release(t, release.Stable, "1.1.0", big(release.Server, "b", 1000))
	h := newHostile(t, r.Dir)
	m := &machine{now: r.Clock.Add(30 * aDay)}
	m.Client = r.Client(t, h.URL, func(o *trust.Options) {
		o.Mode, o.Now, o.Dir = trust.LAN, func() time.Time { return m.now }, filepath.Join(t.TempDir(), "s")
	})
	if cat, err := m.Refresh(t.Context()); err != nil || !cat.Stale {
		t.Fatal(err)
	}
	h.lie("metadata/timestamp.json", bytes(old))
	if _, err := m.Refresh(t.Context()); uerr.KindOf(err) != uerr.Integrity {
		t.Fatalf("rolled back under grace: %v", err)
	}
}
