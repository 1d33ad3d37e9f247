package release

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestVersions(t *testing.T) {
	for _, v := range []string{"1.0.0", "0.0.1", "18.4.0", "1.2.3-beta.1", "1.2.3-rc-1"} {
		if !ValidVersion(v) {
			t.Errorf("%s is refused", v)
		}
	}
	for _, v := range []string{"", "1", "1.0", "v1.0.0", "1.0.0+meta", "01.0.0", "1.0.0/..", "1.0.0-", "1.0.0-a..b", "1.0.0 ", "..", strings.Repeat("1", 70) + ".0.0"} {
		if ValidVersion(v) {
			t.Errorf("%q is accepted", v)
		}
	}
	sorted := []string{"rubbish", "1.0.0-alpha.1", "1.0.0-alpha.9", "1.0.0-alpha.10", "1.0.0-beta", "1.0.0", "1.0.10", "1.9.0", "1.10.0", "10.0.0"}
	for i := range sorted[1:] {
		if CompareVersions(sorted[i], sorted[i+1]) != -1 || CompareVersions(sorted[i+1], sorted[i]) != 1 {
			t.Errorf("%s is not before %s", sorted[i], sorted[i+1])
		}
	}
}

func TestPaths(t *testing.T) {
	for _, p := range []string{"stable/index.json", "stable/server/1.0.0/linux-amd64/server.tar.zst", ArchivePath(Deps, Postgres, "18.4.0", Any, Any)} {
		if err := CheckPath(p); err != nil {
			t.Error(err)
		}
	}
	for _, p := range []string{"", "stable", "stable/..", "stable/.", "../x/y", "/stable/x", "stable//x", "stable/x/", `stable\x/y`, "stable/C:", "stable/a\x00", "stable/ü",
		"stable/con", "stable/NUL.txt", "stable/com1.zst", "stable/a.", "stable/-rf", "stable/.hidden", "a/b/c/d/e/f/g", "stable/" + strings.Repeat("a", 300)} {
		if CheckPath(p) == nil {
			t.Errorf("%q is accepted", p)
		}
	}
	if got := StoredPath("stable/a/b.zst", "ff"); got != "stable/a/ff.b.zst" {
		t.Error(got)
	}
	if len(DelegatedPaths(Stable)) != maxSegments-1 || DelegatedPaths(Stable)[0] != "stable/*" {
		t.Error(DelegatedPaths(Stable))
	}
}

func TestIndexRoundTrip(t *testing.T) {
	due := day0.AddDate(0, 1, 0)
	ix := Index{Channel: Stable, Releases: []Release{
		rel("1.0.0", func(r *Release) { r.Date = r.Date.Add(123456789).In(time.FixedZone("x", 7200)) }),
		rel("1.1.0", func(r *Release) {
			r.MandatoryAfter, r.Notes, r.NoticeDays, r.Components = &due, "notes\nß", 7, []string{Server, Client}
			r.DB = DB{41, 44, true}
			r.Rollout = []RolloutStep{{0, 50}, {48, 1000}}
		}),
		rel("1.2.0")},
		Floors: map[string]string{Server: "1.0.0", Client: "1.0.0"}, Revoked: []Revocation{{Version: "1.2.0", Reason: "bad", RollbackTo: "1.1.0"}}}
	data, err := ix.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseIndex(Stable, data)
	if err != nil {
		t.Fatal(err)
	}
	if got.Latest != "1.1.0" || got.Releases[0].Version != "1.2.0" || !slices.Equal(got.Releases[1].Components, []string{Client, Server}) {
		t.Errorf("got %+v", got)
	}
	if d := got.Releases[2].Date; d.Nanosecond() != 0 || d.Location() != time.UTC {
		t.Errorf("date %v", d)
	}
	again, err := got.Encode()
	if err != nil || string(again) != string(data) {
		t.Errorf("encoding is not stable: %v", err)
	}
	newer := strings.Replace(string(data), `"channel"`, `"added_later": {"x": 1}, "channel"`, 1)
	if _, err := ParseIndex(Stable, []byte(newer)); err != nil {
		t.Errorf("a field that a newer publisher adds: %v", err)
	}
	if _, err := ParseIndex(Beta, data); err == nil {
		t.Error("the index of stable passes for that of beta")
	}
	if _, err := ParseIndex(Stable, []byte(strings.Replace(string(data), `"schema": 1`, `"schema": 2`, 1))); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("newer format: %v", err)
	}
	if _, err := ParseIndex(Stable, append(data, data...)); err == nil {
		t.Error("two values in one file")
	}
}

func TestWrongIndexesAreRefused(t *testing.T) {
	for what, ix := range map[string]Index{
		"twice":           {Releases: []Release{rel("1.0.0"), rel("1.0.0")}},
		"version":         {Releases: []Release{rel("1.0")}},
		"no date":         {Releases: []Release{rel("1.0.0", func(r *Release) { r.Date = time.Time{} })}},
		"severity":        {Releases: []Release{rel("1.0.0", func(r *Release) { r.Severity = "huge" })}},
		"kind":            {Releases: []Release{rel("1.0.0", func(r *Release) { r.Kind = "" })}},
		"min_from newer":  {Releases: []Release{rel("1.0.0", minFrom("2.0.0"))}},
		"rollout falls":   {Releases: []Release{rel("1.0.0", func(r *Release) { r.Rollout = []RolloutStep{{0, 500}, {1, 100}} })}},
		"rollout > 1000":  {Releases: []Release{rel("1.0.0", func(r *Release) { r.Rollout = []RolloutStep{{0, 1001}} })}},
		"schema range":    {Releases: []Release{rel("1.0.0", func(r *Release) { r.DB = DB{SchemaFrom: 5, SchemaTo: 4} })}},
		"no components":   {Releases: []Release{rel("1.0.0", func(r *Release) { r.Components = nil })}},
		"component":       {Releases: []Release{rel("1.0.0", func(r *Release) { r.Components = []string{"../x"} })}},
		"notes":           {Releases: []Release{rel("1.0.0", func(r *Release) { r.Notes = strings.Repeat("x", maxNotes+1) })}},
		"floor":           {Floors: map[string]string{Server: "x"}},
		"floor component": {Floors: map[string]string{"S": "1.0.0"}},
		"revocation":      {Revoked: []Revocation{{Version: "x"}}},
	} {
		ix.Channel = Stable
		if _, err := ix.Encode(); err == nil {
			t.Errorf("%s: encoded", what)
		}
	}
}

func FuzzParseIndex(f *testing.F) {
	data, err := Index{Channel: Stable, Releases: []Release{rel("1.0.0"), rel("2.0.0", minFrom("1.0.0"), mandatory(3))}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		ix, err := ParseIndex(Stable, data)
		if err != nil {
			return
		}
		_, _ = ix.Choose(Host{Component: Server, Installed: "1.0.0", Now: day0})
		if again, err := ix.Encode(); err != nil {
			t.Errorf("parsed, but not encoded: %v\n%s", err, again)
		}
	})
}
