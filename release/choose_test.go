package release

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

var day0 = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func rel(v string, edit ...func(*Release)) Release {
	r := Release{Version: v, Date: day0, Kind: Minor, Severity: Feature, Components: []string{Server}}
	for _, e := range edit {
		e(&r)
	}
	return r
}

func minFrom(v string) func(*Release) { return func(r *Release) { r.MinFrom = v } }
func major(r *Release)                { r.Kind = Major }
func nobodyYet(r *Release)            { r.Rollout = []RolloutStep{{0, 0}, {48, 1000}} }
func mandatory(days int) func(*Release) {
	return func(r *Release) { t := day0.AddDate(0, 0, days); r.MandatoryAfter = &t }
}

// choice is one row: what a host gets from an index.
type choice struct {
	name string
	ix   Index
	h    Host
	want string // version, with "~" stepping stone, "!" mandatory, "<" downgrade; "" current
}

func TestT21_MajorReleasesWaitForAPersonUnlessMandatory(t *testing.T) {
	checkChoices(t, []choice{
		{"major waits for a person", Index{Releases: []Release{rel("1.1.0"), rel("2.0.0", major)}}, Host{Installed: "1.0.0", Unattended: true}, "1.1.0"},
		{"major with a person", Index{Releases: []Release{rel("1.1.0"), rel("2.0.0", major)}}, Host{Installed: "1.0.0"}, "2.0.0"},
		{"mandatory major", Index{Releases: []Release{rel("1.1.0"), rel("2.0.0", major, mandatory(0))}}, Host{Installed: "1.0.0", Unattended: true, Now: day0}, "2.0.0!"},
	})
}

func TestO11_ChooseTheNextVersion(t *testing.T) {
	line := []Release{rel("1.0.0"), rel("1.1.0"), rel("1.2.0")}
	checkChoices(t, []choice{
		{"newest", Index{Releases: line}, Host{Installed: "1.0.0"}, "1.2.0"},
		{"first install", Index{Releases: line}, Host{}, "1.2.0"},
		{"current", Index{Releases: line}, Host{Installed: "1.2.0"}, ""},
		{"ahead of the channel: never back", Index{Releases: line}, Host{Installed: "1.3.0"}, ""},
		{"failed here: the one before", Index{Releases: line}, Host{Installed: "1.0.0", Failed: []string{"1.2.0"}}, "1.1.0"},
		{"all failed here", Index{Releases: line}, Host{Installed: "1.1.0", Failed: []string{"1.2.0"}}, ""},
		{"revoked is skipped", Index{Releases: line, Revoked: []Revocation{{Version: "1.2.0"}}}, Host{Installed: "1.0.0"}, "1.1.0"},
		{"revoked for another component only", Index{Releases: line, Revoked: []Revocation{{Version: "1.2.0", Component: Client}}}, Host{Installed: "1.0.0"}, "1.2.0"},
		{"installed revoked: forward at once", Index{Releases: line, Revoked: []Revocation{{Version: "1.1.0"}}}, Host{Installed: "1.1.0"}, "1.2.0!"},
		{"installed revoked: ordered back", Index{Releases: line, Revoked: []Revocation{{Version: "1.2.0", RollbackTo: "1.1.0"}}}, Host{Installed: "1.2.0"}, "1.1.0!<"},
		{"ordered back below the floor: no", Index{Releases: line, Floors: map[string]string{Server: "1.2.0"}, Revoked: []Revocation{{Version: "1.2.0", RollbackTo: "1.1.0"}}}, Host{Installed: "1.2.0"}, ""},
		{"below the floor", Index{Releases: line, Floors: map[string]string{Server: "1.1.0"}}, Host{Installed: "1.0.0"}, "1.2.0!"},
		{"floor of another component", Index{Releases: line, Floors: map[string]string{Client: "1.1.0"}}, Host{Installed: "1.0.0"}, "1.2.0"},
		{"stepping stone", Index{Releases: []Release{rel("1.0.0"), rel("1.1.0"), rel("2.0.0", minFrom("1.1.0"))}}, Host{Installed: "1.0.0"}, "1.1.0~"},
		{"two stepping stones", Index{Releases: []Release{rel("1.0.0"), rel("1.1.0"), rel("2.0.0", minFrom("1.1.0")), rel("3.0.0", minFrom("2.0.0"))}}, Host{Installed: "1.0.0"}, "1.1.0~"},
		{"stepping stone below the floor is left again", Index{Releases: []Release{rel("1.0.0"), rel("1.1.0"), rel("2.0.0", minFrom("1.1.0"))}, Floors: map[string]string{Server: "2.0.0"}}, Host{Installed: "1.0.0"}, "1.1.0~!"},
		{"stepping stone revoked: no way", Index{Releases: []Release{rel("1.0.0"), rel("1.1.0"), rel("2.0.0", minFrom("1.1.0"))}, Revoked: []Revocation{{Version: "1.1.0"}}}, Host{Installed: "1.0.0"}, ""},
		{"rollout has not reached us", Index{Releases: []Release{rel("1.0.0"), rel("1.1.0"), rel("1.2.0", nobodyYet)}}, Host{Installed: "1.0.0", Now: day0.Add(47 * time.Hour)}, "1.1.0"},
		{"rollout has reached everybody", Index{Releases: []Release{rel("1.2.0", nobodyYet)}}, Host{Installed: "1.0.0", Now: day0.Add(48 * time.Hour)}, "1.2.0"},
		{"mandatory ends the rollout", Index{Releases: []Release{rel("1.2.0", nobodyYet, mandatory(1))}}, Host{Installed: "1.0.0", Now: day0.Add(25 * time.Hour)}, "1.2.0!"},
		{"not mandatory yet", Index{Releases: []Release{rel("1.2.0", mandatory(10))}}, Host{Installed: "1.0.0", Now: day0}, "1.2.0"},
		{"mandatory, but it failed here: no endless loop", Index{Releases: []Release{rel("1.2.0", mandatory(0))}}, Host{Installed: "1.0.0", Now: day0, Failed: []string{"1.2.0"}}, ""},
		{"pre-release is older than its release", Index{Releases: []Release{rel("1.2.0-beta.2"), rel("1.2.0")}}, Host{Installed: "1.2.0-beta.2"}, "1.2.0"},
		{"another component", Index{Releases: line}, Host{Component: Client, Installed: "1.0.0"}, ""},
		{"asked for", Index{Releases: line}, Host{Installed: "1.0.0", Want: "1.1.0"}, "1.1.0"},
		{"asked for before the rollout", Index{Releases: []Release{rel("1.2.0", nobodyYet)}}, Host{Installed: "1.0.0", Want: "1.2.0"}, "1.2.0"},
		{"asked for what failed", Index{Releases: line}, Host{Installed: "1.0.0", Want: "1.2.0", Failed: []string{"1.2.0"}}, "1.2.0"},
		{"asked for by way of a stone", Index{Releases: []Release{rel("1.1.0"), rel("2.0.0", minFrom("1.1.0"))}}, Host{Installed: "1.0.0", Want: "2.0.0"}, "1.1.0~"},
		{"asked for what is installed", Index{Releases: line}, Host{Installed: "1.1.0", Want: "1.1.0"}, ""},
	})
}

func checkChoices(t *testing.T, table []choice) {
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) {
			if c.h.Component == "" {
				c.h.Component = Server
			}
			got, err := c.ix.Choose(c.h)
			if err != nil && !errors.Is(err, ErrCurrent) {
				t.Fatal(err)
			}
			text := got.Release.Version
			if got.Stone {
				text += "~"
			}
			if got.Mandatory {
				text += "!"
			}
			if got.Downgrade {
				text += "<"
			}
			if text != c.want {
				t.Errorf("got %q (%s), want %q", text, got.Why, c.want)
			}
		})
	}
}

func TestNamedVersionsAreRefusedWithAReason(t *testing.T) {
	ix := Index{Channel: Stable, Releases: []Release{rel("1.0.0"), rel("1.1.0"), rel("2.0.0", minFrom("1.5.0"))},
		Floors: map[string]string{Server: "1.0.5"}, Revoked: []Revocation{{Version: "1.1.0", Reason: "loses drafts"}}}
	for want, h := range map[string]Host{
		"version 9.9.9: not in channel stable":                             {Want: "9.9.9"},
		"version 1.1.0: revoked: loses drafts":                             {Want: "1.1.0"},
		"version 1.0.0: below the oldest allowed version 1.0.5":            {Want: "1.0.0"},
		"version 2.0.0: older than the installed 3.0.0":                    {Want: "2.0.0", Installed: "3.0.0"},
		"version 2.0.0: not reachable from 1.2.0: it needs at least 1.5.0": {Want: "2.0.0", Installed: "1.2.0"},
	} {
		h.Component = Server
		_, err := ix.Choose(h)
		var r *Refusal
		if !errors.As(err, &r) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestRolloutIsFairAndStays(t *testing.T) {
	r := rel("1.2.0", func(r *Release) { r.Rollout = []RolloutStep{{0, 50}, {48, 500}, {96, 1000}} })
	var open [4]int
	for i := range 10_000 {
		host := fmt.Sprintf("host-%d", i)
		was := false
		for s, hours := range []int{0, 48, 96} {
			in := InRollout(r, host, Server, day0.Add(time.Duration(hours)*time.Hour))
			if was && !in {
				t.Fatalf("%s left the rollout", host)
			}
			if was = in; in {
				open[s]++
			}
		}
		if InRollout(r, host, Server, day0.Add(-time.Second)) {
			t.Fatal("open before its date")
		}
		if Place(host, Server, "1.2.0") == Place(host, Server, "1.3.0") {
			open[3]++
		}
	}
	for i, want := range []int{500, 5000, 10_000} {
		if got := open[i]; got < want*9/10 || got > want*11/10 {
			t.Errorf("step %d: %d of 10000 hosts, want about %d", i, got, want)
		}
	}
	if open[3] > 40 {
		t.Errorf("%d hosts keep their place in the next release: always the same hosts go first", open[3])
	}
}
